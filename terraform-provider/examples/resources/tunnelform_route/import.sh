# The route's key in the routes file.
terraform import tunnelform_route.rooms rooms
