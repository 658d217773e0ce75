/** More of them than any proxy has is somebody's joke. */
const MAX_SCHEMES = 8;

/**
 * Names of the schemes of a Proxy-Authenticate header, as it was written, each once (RFC 9110, 11.7.1): a list of challenges,
 * each a scheme and what belongs to it, separated by the same commas.
 */
export function challengeSchemes(header: string | undefined): readonly string[] {
  const parts = (header ?? '').replace(/"(?:[^"\\]|\\.)*"/g, '').split(',');
  const schemes = parts.flatMap(
    (part) => /^\s*([A-Za-z][A-Za-z0-9-]{0,31})(?:\s+(?!=)|\s*$)/.exec(part)?.[1] ?? [],
  );
  return [...new Set(schemes)].slice(0, MAX_SCHEMES);
}

/** What a proxy asks for that the agent cannot give, "NTLM, Negotiate"; undefined where Basic is among it, or nothing is said. */
export function unspokenSchemes(schemes: readonly string[]): string | undefined {
  if (schemes.length === 0 || schemes.some((scheme) => scheme.toLowerCase() === 'basic')) return undefined;
  return schemes.join(', ');
}
