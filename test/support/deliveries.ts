import assert from 'node:assert/strict';

import type { OpenRoundRoster, ShareBundle, ShareDelivery } from '@tributary/proto';

/** What a bundle says about one holder: what the coordinator delivers to it. */
export function deliveryOf(
  roster: OpenRoundRoster,
  dealer: string,
  { payload, signature, entries }: ShareBundle,
  holder: string,
): ShareDelivery {
  const entry = entries[roster.graph.holdersOf(dealer).indexOf(holder)];
  return { dealer, payload, signature, entry: entry ?? assert.fail(`${holder} holds no share of ${dealer}`) };
}
