# The pool's key in the routes file.
terraform import tunnelform_pool.chat chat
