// The command that makes a server a node. The image and its settings are those of the node program in the field.

/** Where the node program keeps its files, on the server and in the container. */
const HOME = '/var/lib/marznode';

/** A configuration with which Xray starts; the real one is written in the dashboard afterwards. */
const FIRST_CONFIG = '{"log": {"loglevel": "warning"}, "inbounds": [], "outbounds": [{"protocol": "freedom"}]}';

/** One command for a shell on the server. It keeps a configuration that is there, and the node's own certificate outside of the
 * container, so that a new container has the certificate that the panel has pinned. */
export function joinCommand(certificate: string, port: number): string {
  const settings = {
    SERVICE_ADDRESS: '0.0.0.0',
    SERVICE_PORT: String(port),
    INSECURE: 'False',
    SSL_CLIENT_CERT_FILE: `${HOME}/client.pem`,
    SSL_KEY_FILE: `${HOME}/server.key`,
    SSL_CERT_FILE: `${HOME}/server.cert`,
    XRAY_EXECUTABLE_PATH: '/usr/local/bin/xray',
    XRAY_ASSETS_PATH: '/usr/local/lib/xray',
    XRAY_CONFIG_PATH: `${HOME}/xray_config.json`,
  };
  return [
    `mkdir -p ${HOME} && cat > ${HOME}/client.pem <<'END' &&`,
    certificate.trimEnd(),
    'END',
    `{ [ -e ${HOME}/xray_config.json ] || echo '${FIRST_CONFIG}' > ${HOME}/xray_config.json; } &&`,
    `docker run -d --name marznode --restart always --network host -v ${HOME}:${HOME} \\`,
    ...Object.entries(settings).map(([name, value]) => `  -e ${name}=${value} \\`),
    '  dawsh/marznode:latest',
  ].join('\n');
}
