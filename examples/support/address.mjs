// "127.0.0.1:6881" and "[::1]:6881" as the addresses that scatterwire takes.

/** @param {string} text */
export function addressOf(text) {
  const { hostname, port } = new URL(`peer://${text}`);
  return { host: hostname.replace(/^\[(.*)\]$/, "$1"), port: Number(port) };
}
