// Writes test/data/golden anew. Run it when a format gains a new vector (`node test/dist/support/write-golden.js`); a
// changed old vector means that data and peers in the field no longer understand this build.
import { mkdirSync, writeFileSync } from 'node:fs';

import { GOLDEN } from './golden-vectors.js';

const folder = new URL('../../data/golden/', import.meta.url);

mkdirSync(folder, { recursive: true });
for (const [name, vectors] of Object.entries(GOLDEN)) {
  writeFileSync(new URL(`${name}.json`, folder), `${JSON.stringify(await vectors(), null, 2)}\n`);
}
