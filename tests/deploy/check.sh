#!/usr/bin/env bash
# Checks everything under deploy/ with the tools that will read it, without starting anything. `make deploy-check` runs
# this script, and then proxies.py, backup.py, edge.py, image.py, package.py and edge_unit.py, which start servers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

missing() {
  command -v docker-compose >/dev/null || echo docker-compose
  command -v docker >/dev/null || echo docker.io
  command -v systemd-analyze >/dev/null || echo systemd
  python3 -m pip --version >/dev/null 2>&1 || echo python3-pip
  command -v promtool >/dev/null || echo prometheus
  for tool in haproxy nginx caddy mmdebstrap lintian; do command -v $tool >/dev/null || echo $tool; done
  command -v systemd-nspawn >/dev/null || echo systemd-container
  command -v dpkg-shlibdeps >/dev/null || echo dpkg-dev
}
if [ -n "$(missing)" ]; then
  echo "deploy-check: install what is missing (on Debian: apt-get install $(missing | tr '\n' ' '))" >&2
  exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r deploy docs "$work"/ 2>/dev/null || cp -r deploy "$work"/
touch "$work/Dockerfile"
export HTTP_BIND=127.0.0.1:8080 HTTPS_BIND=127.0.0.1:8443 CERTIFICATE=$work/pair.pem PANEL_1=127.0.0.1:8001 PANEL_2=127.0.0.1:8002
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=panel.example.com \
  -keyout "$work/key.pem" -out "$work/chain.pem" 2>/dev/null
cat "$work/chain.pem" "$work/key.pem" >"$CERTIFICATE"

# check NAME COMMAND…: runs the command, and shows its output only if it fails.
failed=0
check() {
  local name=$1
  shift
  if "$@" >"$work/said" 2>&1; then
    echo "✓ $name"
  else
    echo "✗ $name"
    sed 's/^/    /' "$work/said"
    failed=1
  fi
}

# Debian's Compose does not support the top-level `name`; it supports everything else that is used here.
compose() {
  local folder=$work/deploy/$1
  shift
  cp "$folder/.env.example" "$folder/.env"
  sed -i '/^name: /d' "$folder"/*.yaml
  (cd "$folder" && docker-compose "$@" config --quiet)
}
check "deploy/single/compose.yaml" compose single -f compose.yaml
check "deploy/edge/compose.yaml" compose edge -f compose.yaml
check "deploy/vps/panels.yaml" compose vps -f panels.yaml
check "deploy/vps/data.yaml with panels.yaml" compose vps -f data.yaml -f panels.yaml
check "deploy/swarm/stack.yaml" \
  env SARBAN_IMAGE=sarban SUBSCRIPTION_URL_PREFIX=https://panel.example.com docker stack config -c deploy/swarm/stack.yaml

# `verify` requires that the program exists: any program will do.
unit() {
  sed 's|/usr/local/bin/sarban|/bin/true|' deploy/single/sarban.service >"$work/sarban.service"
  systemd-analyze verify "$work/sarban.service"
}
socket() {
  unit && cp deploy/single/sarban.socket "$work/" && systemd-analyze verify "$work/sarban.socket"
}
check "deploy/single/sarban.service" unit
check "deploy/single/sarban.socket" socket
# The threshold is in tenths: 1.5 of 10 is rated "OK".
check "deploy/single/sarban.service is rated OK" \
  systemd-analyze security --offline=true --threshold=15 deploy/single/sarban.service

edge_unit() {
  sed 's|/usr/local/bin/sarban|/bin/true|' deploy/edge/sarban-edge.service >"$work/sarban-edge.service"
  systemd-analyze verify "$work/sarban-edge.service"
}
check "deploy/edge/sarban-edge.service" edge_unit
check "deploy/edge/sarban-edge.service is rated OK" \
  systemd-analyze security --offline=true --threshold=15 deploy/edge/sarban-edge.service

check "deploy/proxies/haproxy.cfg" haproxy -c -f deploy/proxies/haproxy.cfg
# The certificate is a secret of the stack.
swarm_proxy() {
  sed "s|/run/secrets/sarban_certificate|$CERTIFICATE|" deploy/swarm/haproxy.cfg >"$work/swarm.cfg"
  haproxy -c -f "$work/swarm.cfg"
}
check "deploy/swarm/haproxy.cfg" swarm_proxy
check "deploy/proxies/Caddyfile" env SITE=http://127.0.0.1:8080 caddy validate --adapter caddyfile --config deploy/proxies/Caddyfile
site() {
  sed "s|/etc/ssl/sarban|$work|" deploy/proxies/nginx.conf >"$work/site.conf"
  printf 'pid %s/pid;\nerror_log stderr;\nevents {}\nhttp { access_log off; include %s/site.conf; }\n' "$work" "$work" >"$work/nginx.conf"
  nginx -t -c "$work/nginx.conf"
}
check "deploy/proxies/nginx.conf" site

check "deploy/monitoring/prometheus.yml" promtool check config --syntax-only deploy/monitoring/prometheus.yml
for rules in deploy/monitoring/*.rules.yml; do
  [ ! -e "$rules" ] || check "$rules" promtool check rules "$rules"
done
check "the metrics of dashboard and alerts exist" python3 tests/deploy/metrics.py

# Schemas of Kubernetes and CycloneDX, in a folder that is filled once.
schemas=${XDG_CACHE_HOME:-$HOME/.cache}/sarban-test-programs/schemas-2
if [ ! -d "$schemas" ]; then
  if ! python3 -m pip install --disable-pip-version-check --only-binary :all: --target "$work/schemas" \
    kubernetes-validate==1.37.0 'cyclonedx-python-lib[json-validation]==11.12.0' >"$work/said" 2>&1; then
    cat "$work/said" >&2
    exit 1
  fi
  mkdir -p "$(dirname "$schemas")"
  mv "$work/schemas" "$schemas"
fi
check "deploy/kubernetes" env PYTHONPATH="$schemas" python3 tests/deploy/kubernetes.py

check "deploy/components.py" env PYTHONPATH="$schemas" python3 tests/deploy/components.py

check "settings are known and documented" python3 tests/deploy/settings.py
check "the image's context has what the build needs" python3 tests/deploy/context.py

exit $failed
