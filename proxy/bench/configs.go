package main

// Equivalent configurations: everything to one backend, WebSockets upgraded,
// access log to a file, idle limits out of the way, as many workers as cores,
// room for 9,000 tunnels within 20,000 descriptors.

import (
	"fmt"
	"os/exec"
	"strconv"
)

func configureProduct(s site) ([]string, error) {
	tls := ""
	if s.tls {
		tls = fmt.Sprintf(", tls: {certificates: [{certificate: %q, key: %q}]}", s.cert, s.cert)
	}
	file, err := s.write("routes.yaml", fmt.Sprintf(`version: 1
listeners:
  web: {address: "%s"%s}
routes:
  all: {match: {path_prefix: /}, to: "http://%s"}
`, s.address(), tls, s.backend))
	return []string{"serve", file}, err
}

func configureRelay(s site) ([]string, error) {
	return []string{strconv.Itoa(s.port), strconv.Itoa(portOf(s.backend))}, nil
}

func configureNginx(s site) ([]string, error) {
	listen := s.address()
	if s.tls {
		listen += " ssl"
	}
	file, err := s.write("nginx.conf", fmt.Sprintf(`daemon off;
worker_processes auto;
worker_rlimit_nofile 20000;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events { worker_connections 19000; }
http {
  access_log %[1]s/access.log;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  keepalive_requests 1000000000;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream backend { server %[2]s; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen %[3]s;
    ssl_certificate %[4]s;
    ssl_certificate_key %[4]s;
    location / {
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header Host $host;
      proxy_read_timeout 1h;
      proxy_send_timeout 1h;
    }
  }
}
`, s.dir, s.backend, listen, s.cert))
	return []string{"-c", file, "-e", s.dir + "/error.log"}, err
}

func configureHAProxy(s site) ([]string, error) {
	bind := s.address()
	if s.tls {
		bind += " ssl crt " + s.cert
	}
	file, err := s.write("haproxy.cfg", fmt.Sprintf(`global
  maxconn 9500
  log stdout format raw local0
defaults
  mode http
  log global
  option httplog
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend web
  bind %s
  default_backend app
backend app
  server a %s
`, bind, s.backend))
	return []string{"-f", file}, err
}

func configureCaddy(s site) ([]string, error) {
	tls := ""
	site := "http://" + s.address()
	if s.tls {
		site = "https://" + s.address()
		tls = fmt.Sprintf("tls %s %s", s.cert, s.cert)
	}
	file, err := s.write("Caddyfile", fmt.Sprintf(`{
  admin off
  auto_https off
  persist_config off
  default_sni bench.example
}
%s {
  %s
  log {
    output file %s/access.log
  }
  reverse_proxy %s
}
`, site, tls, s.dir, s.backend))
	return []string{"run", "--config", file, "--adapter", "caddyfile"}, err
}

// configureApache gives each tunnel its thread: 20 processes of 500.
func configureApache(s site) ([]string, error) {
	tls := ""
	if s.tls {
		tls = fmt.Sprintf("LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so\nSSLEngine on\nSSLCertificateFile %[1]s\nSSLCertificateKeyFile %[1]s", s.cert)
	}
	file, err := s.write("apache.conf", fmt.Sprintf(`ServerRoot %[1]s
ServerName bench.example
PidFile %[1]s/apache.pid
Listen %[2]s
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
LoadModule proxy_wstunnel_module /usr/lib/apache2/modules/mod_proxy_wstunnel.so
User www-data
Group www-data
ThreadsPerChild 500
ThreadLimit 500
ServerLimit 20
StartServers 20
MaxRequestWorkers 10000
MinSpareThreads 10000
MaxSpareThreads 10000
MaxKeepAliveRequests 0
Timeout 3600
ProxyTimeout 3600
ErrorLog %[1]s/error.log
LogFormat "%%h %%t \"%%r\" %%>s %%b" common
CustomLog %[1]s/access.log common
%[4]s
ProxyPass "/" "http://%[3]s/" upgrade=websocket
`, s.dir, s.address(), s.backend, tls))
	if err != nil {
		return nil, err
	}
	_ = exec.Command("chmod", "a+rx", s.dir).Run() // www-data reads below it
	return []string{"-f", file, "-DFOREGROUND"}, nil
}
