import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { documentation } from '@tributary/proto/internal/documents/documentation.js';

describe('reference of documents', () => {
  it('is in step with DOCUMENTS.md', () => {
    const written = readFileSync(new URL('../../../../proto/DOCUMENTS.md', import.meta.url), 'utf8');
    assert.equal(written, documentation(), 'run npm run document -w proto');
  });

  it('names nested fields, lists, choices, defaults and what is required', () => {
    const text = documentation();
    assert.match(text, /\| `spec\.task\.type\*` \| `Binary`, `MultiClass`, `Regression` \|/);
    assert.match(text, /\| `spec\.features\[\]\.name\*` \| string \|/);
    assert.match(text, /\| `spec\.rounds\*` \| integer, 1 to 10000 \|/);
    assert.match(text, /\| `spec\.suspend` \| boolean \| `false` \|/);
  });
});
