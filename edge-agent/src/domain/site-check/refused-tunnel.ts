/**
 * Why a proxy that was reached opened no tunnel, and what to do, by the status that it answered CONNECT with. `unspoken`: the
 * schemes that it asks for, where Basic is not among them.
 */
export function refusedTunnel(
  status: number,
  target: string,
  credentials: boolean,
  unspoken?: string,
): { readonly found: string; readonly fix: string } {
  if (status === 407) return refusedLogin(target, credentials, unspoken);
  if (status === 403)
    return {
      found: `the proxy does not let this site reach ${target} (403)`,
      fix: `ask who runs it to allow CONNECT to ${target}; many allow it to port 443 only, on which the coordinator can be served`,
    };
  if ((status >= 300 && status < 400) || status === 511)
    return {
      found: `the proxy answers with a page to log in at (${String(status)})`,
      fix: `ask who runs it to exempt this machine, or CONNECT to ${target}, from that page`,
    };
  if (status === 405 || status === 501)
    return {
      found: `what proxy.url names is no proxy for CONNECT (${String(status)})`,
      fix: 'correct proxy.url',
    };
  // Squid says 500 of a name that it cannot resolve.
  if (status === 500 || (status >= 502 && status <= 504))
    return {
      found: `the proxy itself cannot reach ${target} (${String(status)})`,
      fix: 'check that the coordinator runs there, and ask who runs the proxy whether it resolves that name',
    };
  return {
    found: `the proxy refused the tunnel to ${target} with status ${String(status)}`,
    fix: 'ask who runs the proxy what its log says of it',
  };
}

function refusedLogin(
  target: string,
  credentials: boolean,
  unspoken: string | undefined,
): ReturnType<typeof refusedTunnel> {
  if (unspoken !== undefined)
    return {
      found: `the proxy takes ${unspoken} and no Basic (407), and this agent logs in with Basic alone`,
      fix: `run a gateway at the site that logs in for it, such as cntlm or px, and name that in proxy.url; or ask who runs the proxy to let this machine reach ${target} without`,
    };
  return credentials
    ? {
        found: 'the proxy refuses the user name or the password (407)',
        fix: 'correct proxy.username and the file that proxy.passwordFile names; a line end at its end is ignored',
      }
    : {
        found: 'the proxy asks for a user name and a password (407), and agent.yaml gives none',
        fix: 'set proxy.username and proxy.passwordFile',
      };
}
