import assert from 'node:assert/strict';
import { mock } from 'node:test';

import { canonicalize, LIMITS, TributaryError, type JsonObject } from '@tributary/proto';

import { CliSession } from '../../support/cli-session.js';
import { refusal } from '../../support/refusal.js';

interface Shape {
  readonly round?: number;
  readonly conditions?: Readonly<Record<string, string>>;
  /** Of every condition. */
  readonly message?: string;
  readonly lastFailureInfo?: JsonObject;
}

function job(
  seq: number,
  { round = 0, conditions = {}, message = '', lastFailureInfo = {} }: Shape = {},
  type = 'MODIFIED',
): unknown {
  const status = {
    currentRound: round,
    conditions: Object.entries(conditions).map(([name, status]) => ({ type: name, status, message })),
    lastFailureInfo,
    sites: { selected: 4, reporting: round },
  };
  const document: JsonObject = {
    kind: 'FederatedJob',
    metadata: { name: 'loans', creationTimestamp: '2025-12-31T23:00:00.000Z' },
    spec: { rounds: 10 },
    status,
  };
  return {
    type,
    seq: String(seq),
    object: {
      kind: 'FederatedJob',
      name: 'loans',
      seq: String(seq),
      document: Buffer.from(canonicalize(document)),
    },
    event: null,
  };
}

const bookmark = (seq: number): unknown => ({
  type: 'BOOKMARK',
  seq: String(seq),
  object: null,
  event: null,
});

/** A coordinator whose streams of changes end one after the other, each with an error where it has one. */
function streams(...parts: readonly (readonly [events: readonly unknown[], end?: Error])[]): CliSession {
  let next = 0;
  return new CliSession({
    GetObject: () => job(1),
    WatchObjects: async function* () {
      const [events, end] = parts[next++] ?? [[], new TributaryError('NOT_FOUND', 'the script is over')];
      await Promise.resolve();
      yield* events;
      if (end !== undefined) throw end;
    },
  });
}

const requests = (cli: CliSession): readonly unknown[] => cli.calls.map(({ request }) => request);
const lost = new TributaryError('UNAVAILABLE', 'the connection was lost');

describe('tributary get --watch', () => {
  it('goes on after the last entry seen when the coordinator comes back', async () => {
    const cli = streams(
      [[job(5), bookmark(7)], lost],
      [[job(9, { round: 2 })], new TributaryError('PERMISSION_DENIED', 'revoked')],
    );
    await assert.rejects(cli.run('get', 'fj', '--watch'), refusal('PERMISSION_DENIED'));
    const base = { kind: 'FederatedJob', name: '' };
    assert.deepEqual(requests(cli), [base, { ...base, afterSeq: '7' }]);
    const { results, notes } = cli.terminal;
    assert.match(results[0] ?? '', /^NAME +STATE +ROUND +SITES/);
    assert.equal(results.length, 3, 'titles once, then a line for each change');
    assert.match(results[1] ?? '', /^loans +Pending +0\/10 +0\/4 .* 1h$/);
    assert.match(results[2] ?? '', /^loans +Pending +2\/10 +2\/4/);
    assert.deepEqual(notes, ['the connection was lost; trying again']);
  });

  it('prints one JSON value a line', async () => {
    const cli = streams([[job(5), job(6, {}, 'DELETED')], new TributaryError('NOT_FOUND', 'gone')]);
    await assert.rejects(cli.run('get', 'fj', 'loans', '-w', '-o', 'json'), refusal('NOT_FOUND'));
    const values = cli.terminal.results.map((line) => JSON.parse(line) as { type: string; seq: string });
    assert.deepEqual(
      values.map(({ type, seq }) => [type, seq]),
      [
        ['MODIFIED', '5'],
        ['DELETED', '6'],
      ],
    );
  });

  it('ends without an error when it is interrupted', async () => {
    const cli: CliSession = new CliSession({
      WatchObjects: async function* () {
        await Promise.resolve();
        yield job(5);
        cli.interrupt.abort();
        throw lost;
      },
    });
    await cli.run('get', 'fj', '--watch');
    assert.equal(cli.calls.length, 1);
  });
});

describe('tributary logs', () => {
  it('lets no line steer the terminal', async () => {
    const cli = new CliSession({ StreamLogs: () => [{ line: '{"msg":"\u009b2J\u202eb"}\n' }] });
    await cli.run('logs');
    assert.deepEqual(cli.terminal.results, ['{"msg":" 2J b"}']);
  });

  it('takes a job or site by name or as KIND/NAME, and prints the lines as they are', async () => {
    const cli = new CliSession({ StreamLogs: () => [{ line: '{"msg":"serving"}\n' }] });
    await cli.run('logs');
    await cli.run('logs', 'loans');
    await cli.run('logs', 'fj/loans', '--tail', '5');
    assert.deepEqual(
      cli.calls.map(({ request }) => [request['subject'], request['tail']]),
      [
        ['', 200],
        ['loans', 200],
        ['loans', 5],
      ],
    );
    assert.deepEqual(
      cli.terminal.results,
      Array.from({ length: 3 }, () => '{"msg":"serving"}'),
    );
  });
});

describe('tributary wait', () => {
  const complete = job(8, { round: 10, conditions: { Complete: 'True' } });

  it('ends when the condition holds, and shows the rounds on the way', async () => {
    const cli = streams([[job(5), job(6, { round: 5 }), complete]]);
    await cli.run('wait', 'fj/loans', '--for', 'condition=complete');
    assert.deepEqual(cli.terminal.results, ['federatedjob/loans condition met']);
    assert.deepEqual(cli.terminal.notes, ['loans: 0/10 rounds', 'loans: 5/10 rounds', 'loans: 10/10 rounds']);
  });

  it('knows other states of a condition', async () => {
    const cli = streams([
      [job(5, { conditions: { Running: 'True' } }), job(6, { conditions: { Running: 'False' } })],
    ]);
    await cli.run('wait', 'fj/loans', '--for', 'condition=Running=False');
    assert.deepEqual(cli.terminal.results, ['federatedjob/loans condition met']);
  });

  it('gives up on a job that has failed or has ended', async () => {
    const failed = streams([[job(5, { conditions: { Failed: 'True' } })]]);
    await assert.rejects(failed.run('wait', 'fj/loans', '--for', 'condition=Complete'), refusal('CONFLICT'));
    const ended = streams([[complete]]);
    await assert.rejects(
      ended.run('wait', 'fj/loans', '--for', 'condition=Suspended'),
      refusal('CONFLICT', /complete already/),
    );
  });

  it('ends with the code of the failure', async () => {
    const lastFailureInfo = { code: 'JOB_RETRIES_EXHAUSTED', detail: 'round 1 failed 4 times' };
    const cli = streams([[job(5, { conditions: { Failed: 'True' }, lastFailureInfo })]]);
    await assert.rejects(
      cli.run('wait', 'fj/loans', '--for', 'condition=Complete'),
      refusal('JOB_RETRIES_EXHAUSTED', /loans: round 1 failed 4 times/),
    );
  });

  it('refuses a condition that the object can never have', async () => {
    const cli = streams([[job(5, { conditions: { Complete: 'False' } })]]);
    await assert.rejects(
      cli.run('wait', 'fj/loans', '--for', 'condition=Completed'),
      refusal('USAGE', /no condition Completed/),
    );
  });

  it('refuses an object that does not exist, unless its end is awaited', async () => {
    const absent = () =>
      new CliSession({
        GetObject: () => {
          throw new TributaryError('NOT_FOUND', 'none');
        },
      });
    await assert.rejects(
      absent().run('wait', 'fj/loan', '--for', 'condition=Complete'),
      refusal('NOT_FOUND', /named loan/),
    );
    const cli = absent();
    await cli.run('wait', 'fj/loan', '--for', 'delete');
    assert.deepEqual(cli.terminal.results, ['fj/loan deleted']);
  });

  it('says what is waited for where nothing moves', async () => {
    mock.timers.enable({ apis: ['setInterval'] });
    try {
      const waiting = (
        job(5, { conditions: { Running: 'True' }, message: 'Waits for sites.' }) as { object: unknown }
      ).object;
      const cli: CliSession = new CliSession({
        GetObject: () => waiting,
        WatchObjects: async function* () {
          yield job(5);
          for (let tick = 0; tick < 3; tick += 1) {
            mock.timers.tick(LIMITS.heartbeatIntervalMs);
            await new Promise((resolve) => setImmediate(resolve));
          }
          yield complete;
        },
      });
      await cli.run('wait', 'fj/loans', '--for', 'condition=Complete');
      assert.deepEqual(cli.terminal.notes, [
        'loans: 0/10 rounds',
        'loans: 0/10 rounds: Waits for sites.',
        'loans: 10/10 rounds',
      ]);
    } finally {
      mock.timers.reset();
    }
  });

  it('for deletion outlasts the end of the job', async () => {
    const cli = streams([[complete, job(9, {}, 'DELETED')]]);
    await cli.run('wait', 'fj/loans', '--for', 'delete');
    assert.deepEqual(cli.terminal.results, ['fj/loans deleted']);
  });

  it('ends with DEADLINE_EXCEEDED after its timeout', async () => {
    const cli = new CliSession({
      GetObject: () => job(1),
      WatchObjects: async function* () {
        yield job(5);
        await new Promise((resolve) => setTimeout(resolve, 1_100));
        throw lost;
      },
    });
    await assert.rejects(
      cli.run('wait', 'fj/loans', '--for', 'condition=Complete', '--timeout', '1s'),
      refusal('DEADLINE_EXCEEDED', /not reached within 1s/),
    );
  });
});
