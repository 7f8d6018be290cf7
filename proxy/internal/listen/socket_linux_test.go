package listen

import "github.com/tunnelform/tunnelform/proxy/internal/tunnel"

func init() { connOf = tunnel.Conn }
