import type { LoadHook } from 'node:module';

/** The one module that says which wire versions a build speaks. */
const VERSIONS = /\/proto\/dist\/versions\.js$/;

const CHANGES = [
  [/WIRE_VERSIONS = Object\.freeze\(\[[^\]]*\]\)/, "WIRE_VERSIONS = Object.freeze(['1.1'])"],
  [/SOFTWARE_VERSION = '[^']*'/, "SOFTWARE_VERSION = '0.2.0'"],
] as const;

/** Hands out the versions of the previous release in place of those of this build. */
export const load: LoadHook = async (url, context, nextLoad) => {
  const loaded = await nextLoad(url, context);
  if (!VERSIONS.test(url)) return loaded;
  let source = Buffer.from(loaded.source as Uint8Array).toString('utf8');
  for (const [from, to] of CHANGES) {
    if (!from.test(source)) throw new Error(`${url} is not what it was: ${String(from)}`);
    source = source.replace(from, to);
  }
  return { ...loaded, source };
};
