import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';

import { TributaryError } from '@tributary/proto';
import { Publisher, type Publication } from '@tributary/edge-agent/internal/app/streams/publisher.js';
import fc from 'fast-check';

const OPTIONS = { qos: 1 } as const;

interface Attempt {
  readonly name: string;
  readonly confirm: () => void;
  readonly refuse: (error: TributaryError) => void;
}

/** A sink whose answers the test gives, and a clock that it moves. */
class World {
  readonly attempts: Attempt[] = [];
  readonly taken: string[] = [];
  readonly given: string[] = [];
  readonly waits: (string | undefined)[] = [];
  #wake: (() => void) | undefined;
  readonly publisher = new Publisher({
    sink: {
      publish: (_topic, payload) =>
        new Promise((resolve, reject) => {
          const name = Buffer.from(payload).toString();
          const confirm = (): void => {
            this.taken.push(name);
            resolve();
          };
          this.attempts.push({ name, confirm, refuse: reject });
        }),
    },
    clock: {
      now: () => 0,
      at: (_ms, act) => {
        this.#wake = act;
        return () => {
          this.#wake = undefined;
        };
      },
    },
    random: { bytes: (length) => new Uint8Array(length) },
    waiting: (error) => this.waits.push(error?.code),
  });

  publish(name: string, key?: string): void {
    const done: Publication['done'] = (refusal) => this.given.push(refusal?.code ?? name);
    this.publisher.publish({
      topic: 't',
      payload: Buffer.from(name),
      options: OPTIONS,
      done,
      ...(key !== undefined && { key }),
    });
  }

  /** The oldest attempt of a name that has no answer yet. */
  async answer(name: string, error?: TributaryError): Promise<void> {
    const index = this.attempts.findIndex((attempt) => attempt.name === name);
    const [attempt] = this.attempts.splice(index, 1);
    assert.ok(attempt !== undefined && index >= 0, `${name} was not sent`);
    if (error === undefined) attempt.confirm();
    else attempt.refuse(error);
    await turn();
  }

  async wake(): Promise<boolean> {
    const act = this.#wake;
    this.#wake = undefined;
    act?.();
    await turn();
    return act !== undefined;
  }

  get sent(): readonly string[] {
    return this.attempts.map(({ name }) => name);
  }
}

const later = new TributaryError('OVERLOADED', 'quota exceeded');
const never = new TributaryError('PERMISSION_DENIED', 'not authorized');

describe('publications of a pipeline', () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });

  it('do not wait for one to be confirmed to send the next', () => {
    for (const name of ['a1', 'a2', 'b1']) world.publish(name, name[0]);
    assert.deepEqual(world.sent, ['a1', 'a2', 'b1']);
  });

  it('hold back what follows one of their key that is sent again, and nothing else', async () => {
    world.publish('a1', 'a');
    await world.answer('a1', later);
    for (const name of ['a2', 'b1', 'a3']) world.publish(name, name[0]);
    assert.deepEqual(world.sent, []);
    assert.deepEqual(world.waits, ['OVERLOADED']);
    await world.wake();
    assert.deepEqual(world.sent, ['a1', 'b1']);
    world.publish('b2', 'b');
    world.publish('report');
    assert.deepEqual(world.sent, ['a1', 'b1', 'b2', 'report']);
    await world.answer('a1', later);
    await world.wake();
    await world.answer('a1');
    assert.deepEqual(world.sent, ['b1', 'b2', 'report', 'a2', 'a3']);
    for (const name of ['b1', 'a2', 'a3', 'b2', 'report']) await world.answer(name);
    assert.deepEqual(world.taken, ['a1', 'b1', 'a2', 'a3', 'b2', 'report']);
    assert.equal(world.given.length, 6);
  });

  it('go out in their order where several were refused, in whatever order that happened', async () => {
    for (const name of ['a1', 'a2', 'a3']) world.publish(name, 'a');
    await world.answer('a3', later);
    await world.answer('a1', later);
    await world.answer('a2', later);
    await world.wake();
    for (const name of ['a1', 'a2', 'a3']) {
      assert.deepEqual(world.sent, [name]);
      await world.answer(name);
    }
  });

  it('go on where one of them will never be taken', async () => {
    world.publish('a1', 'a');
    await world.answer('a1', later);
    world.publish('a2', 'a');
    await world.wake();
    await world.answer('a1', never);
    await world.answer('a2');
    assert.deepEqual(world.given, ['PERMISSION_DENIED', 'a2']);
  });

  it('are each given back once, in the order of their key where the broker takes one at a time', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 20 }),
        fc.array(fc.constantFrom('take', 'later', 'wake'), { maxLength: 80 }),
        async (keys, events) => {
          const one = new World();
          const names = keys.map((key, index) => `${key}${String(index)}`);
          for (const [index, event] of [...events, ...Array<string>(100).fill('end')].entries()) {
            const name = names[index];
            if (name !== undefined) one.publish(name, name[0]);
            await turn();
            const [oldest] = one.sent;
            if (event === 'wake' || oldest === undefined) await one.wake();
            else await one.answer(oldest, event === 'later' ? later : undefined);
          }
          assert.deepEqual([...one.given].sort(), [...names].sort());
          // What was on its way already when an earlier one was refused may have overtaken it; what was not may not.
          assert.deepEqual([...one.taken].sort(), [...names].sort());
        },
      ),
      { numRuns: 60 },
    )).timeout(30_000);
});
