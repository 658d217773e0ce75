import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { Http2Session } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';

import { Sessions } from '@tributary/coordinator/internal/adapters/grpc/sessions.js';

/** What the registry uses of a session. */
class FakeSession extends EventEmitter {
  destroyed = false;

  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

describe('connections of an identity', () => {
  const open = (sessions: Sessions, identity: string): FakeSession => {
    const session = new FakeSession();
    sessions.add(identity, session as unknown as Http2Session);
    return session;
  };

  it('are counted until they close', () => {
    const sessions = new Sessions();
    const [one] = [open(sessions, 'agent/a'), open(sessions, 'agent/a'), open(sessions, 'agent/b')];
    assert.deepEqual(
      [sessions.count('agent/a'), sessions.count('agent/b'), sessions.count('agent/c')],
      [2, 1, 0],
    );
    one.destroy();
    assert.equal(sessions.count('agent/a'), 1);
  });

  it('are known by the port that they come from, until they close', () => {
    const sessions = new Sessions();
    const session = new FakeSession();
    sessions.add('agent/a', session as unknown as Http2Session, 4711);
    assert.deepEqual([sessions.isFrom(4711), sessions.isFrom(4712)], [true, false]);
    session.destroy();
    assert.equal(sessions.isFrom(4711), false);
  });

  it('are bounded: the oldest makes room', () => {
    const sessions = new Sessions();
    const all = Array.from({ length: 40 }, () => open(sessions, 'agent/a'));
    assert.ok(sessions.count('agent/a') <= 16);
    assert.equal(all[0]?.destroyed, true);
    assert.equal(all.at(-1)?.destroyed, false);
  });

  it('end together when the identity is revoked, a moment later, and no others', async () => {
    const sessions = new Sessions();
    const [gone, also, other] = [
      open(sessions, 'agent/a'),
      open(sessions, 'agent/a'),
      open(sessions, 'agent/b'),
    ];
    sessions.end('agent/a');
    assert.equal(gone.destroyed, false, 'open calls are told why first');
    await sleep(400);
    assert.deepEqual([gone.destroyed, also.destroyed, other.destroyed], [true, true, false]);
    assert.equal(sessions.count('agent/a'), 0);
  });
});
