import type { InitializeHook, LoadHook } from 'node:module';

/** What is left of the masks of a site, of which its own comes first. */
const KEPT = { none: '.slice(0, 0)', self: '.slice(0, 1)', pairs: '.slice(1)' } as const;

const TRUE = 'export function ownMasks(';
let slice = '';

export const initialize: InitializeHook<{ readonly kept: keyof typeof KEPT }> = ({ kept }) => {
  slice = KEPT[kept];
};

/** Rewrites the module that makes the masks. */
export const load: LoadHook = async (url, context, nextLoad) => {
  const loaded = await nextLoad(url, context);
  if (!url.endsWith('/secagg/mask-keys.js')) return loaded;
  const source = Buffer.from(loaded.source as Uint8Array).toString();
  if (!source.includes(TRUE)) throw new Error('masks are made elsewhere: nothing was patched');
  const patched = `${source.replace(TRUE, 'function trueMasks(')}
export const ownMasks = (...parts) => trueMasks(...parts)${slice};`;
  return { ...loaded, source: patched };
};
