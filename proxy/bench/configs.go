package main

// Equivalent configurations: everything to one backend, WebSockets upgraded,
// access log to a file, idle limits out of the way, as many workers as cores,
// room for 9,000 tunnels within 20,000 descriptors. Where a scenario wants many
// routes, or an answer that is edited, each proxy gets them in its own words.

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// routeName is the path segment of the n-th of many routes.
func routeName(n int) string { return fmt.Sprintf("r%06d", n) }

// lines writes a text for every route of the site.
func (s site) lines(text func(name string) string) string {
	var b strings.Builder
	for i := range s.routes {
		b.WriteString(text(routeName(i)))
	}
	return b.String()
}

// edited is a text with what /edit answers in it; "" where there is no /edit.
func (s site) edited(format string) string {
	if s.edit == 0 {
		return ""
	}
	return fmt.Sprintf(format, editAnswer(s.edit))
}

func configureProduct(s site) ([]string, error) {
	tls := ""
	if s.tls {
		tls = fmt.Sprintf(", tls: {certificates: [{certificate: %q, key: %q}]}", s.cert, s.cert)
	}
	routes := fmt.Sprintf("  all: {match: {path_prefix: /}, to: \"http://%s\"}\n", s.backend)
	if s.routes > 0 {
		routes = s.lines(func(name string) string {
			return fmt.Sprintf("  %s: {match: {path_prefix: /%s/}, to: \"http://%s\"}\n", name, name, s.backend)
		})
	}
	file, err := s.write("routes.yaml", fmt.Sprintf("version: 1\nlisteners:\n  web: {address: %q%s}\nroutes:\n%s%s", s.address(), tls, routes,
		s.edited("  edit: {match: {path: /edit}, respond: {body: %s}}\n")))
	return []string{"serve", file}, err
}

func configureRelay(s site) ([]string, error) {
	return []string{strconv.Itoa(s.port), strconv.Itoa(portOf(s.backend))}, nil
}

// nginxProxy is what every location of nginx says.
const nginxProxy = `proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade; proxy_set_header Host $host; proxy_read_timeout 1h; proxy_send_timeout 1h;`

func configureNginx(s site) ([]string, error) {
	listen := s.address()
	if s.tls {
		listen += " ssl"
	}
	locations := "location / { " + nginxProxy + " }\n"
	if s.routes > 0 {
		locations = s.lines(func(name string) string { return "location ^~ /" + name + "/ { " + nginxProxy + " }\n" })
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
    %[5]s
    %[6]s
  }
}
`, s.dir, s.backend, listen, s.cert, locations, s.edited("location = /edit { return 200 %q; }")))
	return []string{"-c", file, "-e", s.dir + "/error.log"}, err
}

// configureHAProxy finds one of many routes in a map file, which HAProxy keeps in
// a tree; without them there is nothing to find.
func configureHAProxy(s site) ([]string, error) {
	bind := s.address()
	if s.tls {
		bind += " ssl crt " + s.cert
	}
	choose := "default_backend app"
	if s.routes > 0 {
		paths, err := s.write("paths.map", s.lines(func(name string) string { return "/" + name + "/ app\n" }))
		if err != nil {
			return nil, err
		}
		choose = "use_backend %[path,map_beg(" + paths + ")]"
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
  %s
  %s
backend app
  server a %s
`, bind, s.edited(`http-request return status 200 content-type text/plain string %q if { path /edit }`), choose, s.backend))
	args := []string{"-f", file}
	if s.edit > 0 {
		args = append(args, "-W") // a master, which reloads
	}
	return args, err
}

func configureCaddy(s site) ([]string, error) {
	tls, admin := "", "off"
	address := fmt.Sprintf("http://:%d", s.port) // any Host
	if s.tls {
		address = fmt.Sprintf("https://:%d", s.port)
		tls = fmt.Sprintf("tls %s %s", s.cert, s.cert)
	}
	if s.edit > 0 {
		admin = "unix/" + s.dir + "/admin"
	}
	file, err := s.write("Caddyfile", fmt.Sprintf(`{
  admin %[5]s
  auto_https off
  persist_config off
  default_sni bench.example
}
%[1]s {
  bind 127.0.0.1
  %[2]s
  %[6]s
  log {
    output file %[3]s/access.log
  }
  reverse_proxy %[4]s
}
`, address, tls, s.dir, s.backend, admin, s.edited("respond /edit %q")))
	return []string{"run", "--config", file, "--adapter", "caddyfile"}, err
}

// configureApache gives each tunnel its thread: processes of 500, one to spare.
func configureApache(s site) ([]string, error) {
	const threads = 500
	processes := max(s.room, 1000)/threads + 2
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
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
LoadModule proxy_wstunnel_module /usr/lib/apache2/modules/mod_proxy_wstunnel.so
User www-data
Group www-data
ThreadsPerChild %[5]d
ThreadLimit %[5]d
ServerLimit %[6]d
StartServers %[6]d
MaxRequestWorkers %[7]d
MinSpareThreads %[7]d
MaxSpareThreads %[7]d
MaxKeepAliveRequests 0
Timeout 3600
ProxyTimeout 3600
ErrorLog %[1]s/error.log
LogFormat "%%h %%t \"%%r\" %%>s %%b" common
CustomLog %[1]s/access.log common
%[4]s
%[8]s
ProxyPass "/" "http://%[3]s/" upgrade=websocket
`, s.dir, s.address(), s.backend, tls, threads, processes, threads*processes,
		s.edited("ProxyPass \"/edit\" \"!\"\nRedirect \"/edit\" \"http://bench.example/%s\"")))
	if err != nil {
		return nil, err
	}
	_ = exec.Command("chmod", "a+rx", s.dir).Run() // www-data reads below it
	return []string{"-f", file, "-DFOREGROUND"}, nil
}
