import assert from 'node:assert/strict';

import type { StreamStateStore } from '@tributary/edge-agent/internal/streams-ports.js';

import { using, type SuiteOptions } from './harness.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

async function contentOf(store: StreamStateStore, pipeline: string): Promise<Map<string, string>> {
  const content = new Map<string, string>();
  for await (const { key, state } of store.read(pipeline)) content.set(key, new TextDecoder().decode(state));
  return content;
}

/** What every StreamStateStore promises. */
export function streamStateStoreSuite({ name, factory }: SuiteOptions<StreamStateStore>): void {
  describe(`StreamStateStore: ${name}`, () => {
    it('gives back the newest state of every key of a pipeline, after reopening too', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const keys = ['7', 'ward/7', '', '\u{1F600}', 'a b%2F', '\uFFFF'];
        await store.write(
          'beats',
          keys.map((key) => ({ key, state: bytes(`first ${key}`) })),
        );
        await store.write('beats', [{ key: '7', state: bytes('second') }]);
        await store.close();
        const again = await harness.open();
        assert.deepEqual(
          await contentOf(again, 'beats'),
          new Map([...keys.map((key) => [key, `first ${key}`] as const), ['7', 'second']]),
        );
        await again.close();
      }));

    it('keeps pipelines apart, also where the name of one begins that of another', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        await store.write('beat', [{ key: 's', state: bytes('a') }]);
        await store.write('beats', [{ key: '', state: bytes('b') }]);
        assert.deepEqual(await contentOf(store, 'beat'), new Map([['s', 'a']]));
        assert.deepEqual(await contentOf(store, 'beats'), new Map([['', 'b']]));
        assert.deepEqual(await contentOf(store, 'bea'), new Map());
        await store.close();
      }));

    it('forgets keys in the same change in which it takes others', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        await store.write('beats', [{ key: '1', state: bytes('a') }]);
        await store.write('beats', [{ key: '1' }, { key: 'never' }, { key: '2', state: bytes('b') }]);
        assert.deepEqual(await contentOf(store, 'beats'), new Map([['2', 'b']]));
        await store.close();
      }));
  });
}
