import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';

import { readEnrolment } from '@tributary/edge-agent/internal/app/enrolment-record.js';
import { toServiceError } from '@tributary/proto/grpc';
import {
  COSIGNING_WIRE_VERSION,
  decodeExportLine,
  TributaryError,
  verifyTreeHead,
  WIRE_VERSIONS,
  type ErrorCode,
} from '@tributary/proto';

import { ConnectProxy } from '../support/connect-proxy.js';
import { ScriptedCoordinator } from '../support/scripted-coordinator.js';
import { ScriptedSite, type RunningAgent } from '../support/scripted-site.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

describe('connection of an agent', () => {
  let coordinator: ScriptedCoordinator;
  let folder: TemporaryDirectory;
  let site: ScriptedSite;
  let running: RunningAgent | undefined;

  beforeEach(async () => {
    coordinator = await ScriptedCoordinator.start();
    folder = await temporaryDirectory();
    site = new ScriptedSite(folder.path, coordinator);
    coordinator.openRound();
  });

  afterEach(async () => {
    await running?.stop();
    running = undefined;
    coordinator.stop();
    await folder.remove();
  });

  const start = async (): Promise<RunningAgent> => {
    await site.join(coordinator.token());
    running = await site.run();
    return running;
  };
  const connected = (): Promise<boolean> =>
    eventually('a stream', () => (coordinator.streams.size > 0 ? true : undefined));
  const endedWith = async (agent: RunningAgent): Promise<string | undefined> => {
    const error = await agent.ended;
    return error instanceof TributaryError ? error.code : undefined;
  };

  it('greets with its versions, epoch and tree head, and beats', async () => {
    await start();
    await connected();
    await eventually('heartbeats', () => (coordinator.messages('heartbeat').length >= 2 ? true : undefined));
    const [hello] = coordinator.messages('hello');
    assert.deepEqual([hello?.versions, hello?.datasets], [[...WIRE_VERSIONS], ['loans']]);
    assert.equal(BigInt(hello?.sessionEpoch ?? 0) >> 32n, 1n, 'the first start');
  });

  it('takes an epoch that a copy of its state, started alike, does not take', async () => {
    await site.join(coordinator.token());
    const copy = await temporaryDirectory();
    await cp(site.dataDir, join(copy.path, 'data'), { recursive: true });
    await start();
    await connected();
    const twin = await new ScriptedSite(copy.path, coordinator).run();
    await eventually('both', () => (coordinator.messages('hello').length >= 2 ? true : undefined));
    const epochs = coordinator.messages('hello').map(({ sessionEpoch }) => BigInt(sessionEpoch));
    assert.deepEqual([...new Set(epochs.map((epoch) => epoch >> 32n))], [1n]);
    assert.equal(new Set(epochs).size, 2);
    await twin.stop();
    await copy.remove();
  });

  it('waits for approval without giving up', async () => {
    coordinator.approved = false;
    const { agent } = await start();
    await connected();
    await eventually('the wait to show', () =>
      agent.status().connection === 'AwaitingApproval' ? true : undefined,
    );
    coordinator.approved = true;
    await coordinator.sendOrder('train', coordinator.openRound({ job: 'other' }).seqs);
    await eventually('an upload', () => [...coordinator.uploads.values()].find(({ sealed }) => sealed));
    assert.equal(agent.status().connection, 'Connected');
  });

  it('says that it is approved at the first head of the log, before any order', async () => {
    coordinator.approved = false;
    coordinator.announcesHeads = true;
    const { agent } = await start();
    await eventually('the approval to show', () =>
      agent.status().connection === 'Connected' ? true : undefined,
    );
  });

  for (const code of ['AGENT_REVOKED', 'AGENT_FENCED', 'VERSION_UNSUPPORTED'] satisfies ErrorCode[]) {
    it(`ends for good with ${code}`, async () => {
      coordinator.greet = (stream) =>
        stream.emit('error', toServiceError(new TributaryError(code, 'said by a test')));
      assert.equal(await endedWith(await start()), code);
      assert.equal(coordinator.counts.connect, 1);
    });
  }

  for (const version of ['1.0', '1.99', '2.0', '']) {
    it(`ends for good where the coordinator speaks "${version}", naming it`, async () => {
      coordinator.version = version;
      coordinator.enrolVersion = WIRE_VERSIONS[0] ?? '';
      const error = await (await start()).ended;
      assert.ok(error instanceof TributaryError);
      assert.equal(error.code, 'VERSION_UNSUPPORTED');
      assert.match(error.message, new RegExp(`"${version}".*${WIRE_VERSIONS.join(', ')}`));
    });
  }

  it('ends with the code of a goodbye that asks it not to come back', async () => {
    coordinator.greet = (stream) => {
      stream.write({ goodbye: { code: 'AGENT_REVOKED', detail: 'over', retryAfterMs: 0 } });
      stream.end();
    };
    assert.equal(await endedWith(await start()), 'AGENT_REVOKED');
  });

  it('comes back after a goodbye with a wait', async () => {
    coordinator.greet = (stream) => {
      coordinator.greet = undefined;
      stream.write({ goodbye: { code: 'SHUTTING_DOWN', detail: 'soon back', retryAfterMs: 100 } });
      stream.end();
    };
    await start();
    await connected();
    assert.equal(coordinator.counts.connect, 2);
  });

  const status = () => running?.agent.status();
  const halted = (): Promise<string> =>
    eventually('the halt', () =>
      status()?.connection === 'Halted' ? (status()?.ledger.alarm?.code ?? '') : undefined,
    );
  const resumed = (): Promise<true> =>
    eventually('work again', () => (status()?.connection === 'Connected' ? true : undefined));
  const rewrite = (): void => {
    coordinator.log.rewrite(1);
    const body = { jobId: 'later' };
    coordinator.log.append({ type: 'job.resumed', actor: 'context/root', subject: 'federation', body });
  };
  async function again(change: () => void): Promise<void> {
    await start();
    await resumed();
    await running?.stop();
    change();
    running = await site.run();
  }

  it('halts where the log was rewritten, with both signed heads, until its people accept what is shown', async () => {
    await again(rewrite);
    assert.equal(await halted(), 'LEDGER_FORKED');
    const [alarm] = running?.agent.ledger().alarms ?? [];
    for (const line of [alarm?.kept, alarm?.shown]) {
      const head = decodeExportLine(Buffer.from(line ?? ''));
      assert.ok(head.kind === 'TreeHead');
      verifyTreeHead(coordinator.log.key.publicKey, head);
    }
    assert.notEqual(alarm?.kept, alarm?.shown);
    assert.match((await site.decisionLines()).join('\n'), /"type":"LedgerAlarm"/);

    const { connect } = coordinator.counts;
    await running?.stop();
    running = await site.run();
    assert.equal(await halted(), 'LEDGER_FORKED');
    assert.equal(coordinator.counts.connect, connect, 'a restart settles nothing');

    const settled = await running.agent.settle('Accept');
    assert.equal(settled.head, alarm?.shown);
    await resumed();
    await assert.rejects(running.agent.settle('Accept'), { code: 'CONFLICT' });
    assert.match((await site.decisionLines()).join('\n'), /"type":"LedgerResolved"/);
  });

  it('goes on with the history that it knows where that is there again', async () => {
    let before: readonly Uint8Array[] = [];
    await again(() => {
      before = coordinator.log.entries;
      coordinator.log.entries = [...before];
      rewrite();
    });
    assert.equal(await halted(), 'LEDGER_FORKED');
    await running?.agent.settle('Keep');
    assert.equal(await halted(), 'LEDGER_FORKED', 'it is shown the same fork again');
    coordinator.log.entries = [...before];
    await running?.agent.settle('Keep');
    await resumed();
  });

  it('names a log that has shrunk apart from a fork', async () => {
    await again(() => {
      coordinator.log.entries = coordinator.log.entries.slice(0, 1);
    });
    assert.equal(await halted(), 'LEDGER_SHORTENED');
  });

  it('asks for the head of a coordinator that refuses its own, and keeps it as evidence', async () => {
    await again(() => {
      coordinator.log.entries = coordinator.log.entries.slice(0, 1);
      coordinator.greet = (stream) =>
        stream.emit('error', toServiceError(new TributaryError('PROOF_INVALID', 'not held')));
    });
    assert.equal(await halted(), 'LEDGER_SHORTENED');
    assert.equal(running?.agent.ledger().alarms.length, 1);
  });

  it('asks likewise where its cosignature is refused, so that its people have something to settle', async () => {
    const { greet } = coordinator;
    await again(() => {
      rewrite();
      coordinator.greet = (stream) =>
        stream.emit('error', toServiceError(new TributaryError('LEDGER_FORKED', 'signed another tree')));
    });
    assert.equal(await halted(), 'LEDGER_FORKED');
    assert.equal(running?.agent.ledger().alarms.length, 1);
    coordinator.greet = greet;
    await running.agent.settle('Accept');
    await resumed();
  });

  it('halts where an order shows another history than the welcome', async () => {
    await start();
    await connected();
    coordinator.log.rewrite(1);
    await coordinator.sendOrder('train', coordinator.openRound({ job: 'other' }).seqs);
    assert.equal(await halted(), 'LEDGER_FORKED');
    assert.deepEqual(coordinator.messages('ack'), []);
  });

  it('signs every head that it has verified, once, also while no round is open', async () => {
    coordinator.version = COSIGNING_WIRE_VERSION;
    coordinator.announcesHeads = true;
    await start();
    await connected();
    const signed = (): number[] =>
      coordinator
        .messages('heartbeat')
        .flatMap(({ cosignature }) => (cosignature === null ? [] : [Number(cosignature.treeSize)]));
    await eventually('the head of the welcome', () => signed()[0]);
    coordinator.openRound({ job: 'other' });
    const size = coordinator.log.entries.length;
    await eventually('the newer head', () => (signed().includes(size) ? true : undefined));
    assert.deepEqual(signed(), [...new Set(signed())]);
    rewrite();
    assert.equal(await halted(), 'LEDGER_FORKED');
  });

  it('renews its certificate in time and goes on with the new one', async () => {
    coordinator.certificateLifetimeMs = 3_000;
    await start();
    await connected();
    coordinator.certificateLifetimeMs = 3_600_000;
    await eventually('a renewal', () => (coordinator.counts.renew > 0 ? true : undefined));
    await eventually('a second stream', () => (coordinator.counts.connect >= 2 ? true : undefined));
    await running?.stop();
    const data = await site.open();
    const record = await readEnrolment(data.store);
    await data.close();
    running = undefined;
    assert.ok(record && record.obtainedAtMs > 0);
    assert.equal(coordinator.counts.renew, 1);
  });

  it('keeps a running training and a running upload through a renewal', async () => {
    coordinator.certificateLifetimeMs = 4_000;
    await start();
    await connected();
    coordinator.certificateLifetimeMs = 5_000;
    const training = gate();
    const uploading = gate();
    site.trainer.gate = training.passed;
    coordinator.uploadGate = uploading.passed;
    await coordinator.sendOrder('train', coordinator.openRound({ job: 'other' }).seqs);
    await eventually('training', () => (site.trainer.trainings === 1 ? true : undefined));
    await eventually('a second stream', () => (coordinator.counts.connect >= 2 ? true : undefined));
    training.open();
    await eventually('an upload', () => (coordinator.counts.submit === 1 ? true : undefined));
    await eventually('a third stream', () => (coordinator.counts.connect >= 3 ? true : undefined));
    uploading.open();
    await eventually('the end of the upload', () =>
      [...coordinator.uploads.values()].find(({ sealed }) => sealed),
    );
    await eventually('its acceptance', () =>
      running?.agent.status().rounds.find(({ phase }) => phase === 'Delivered'),
    );
    assert.deepEqual([site.trainer.trainings, coordinator.counts.submit], [1, 1]);
  });

  it('renews an expired certificate before it connects', async () => {
    coordinator.certificateLifetimeMs = 1_000;
    await site.join(coordinator.token());
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    coordinator.certificateLifetimeMs = 3_600_000;
    running = await site.run();
    await connected();
    assert.deepEqual([coordinator.counts.renew, coordinator.counts.connect], [1, 1]);
  });

  it('reconnects through its proxy after the tunnel was cut', async () => {
    const proxy = await ConnectProxy.start('site', 'pass');
    try {
      site.proxy = { host: '127.0.0.1', port: proxy.port, username: 'site', password: 'pass' };
      await start();
      await connected();
      const before = proxy.tunnels;
      proxy.cut();
      await eventually('another tunnel', () =>
        proxy.tunnels > before && coordinator.counts.connect >= 2 ? true : undefined,
      );
      await connected();
    } finally {
      await running?.stop();
      running = undefined;
      await proxy.stop();
    }
  });

  it('says in its status why the proxy lets it not through', async () => {
    await site.join(coordinator.token());
    const proxy = await ConnectProxy.start('site', 'changed');
    try {
      site.proxy = { host: '127.0.0.1', port: proxy.port, username: 'site', password: 'pass' };
      const { agent } = (running = await site.run());
      const error = await eventually('an error', () => agent.status().lastError ?? undefined);
      assert.equal(error.code, 'UNAVAILABLE');
      assert.match(error.detail, /proxy 127\.0\.0\.1:\d+ refused .* 407/);
    } finally {
      await running?.stop();
      running = undefined;
      await proxy.stop();
    }
  });
});

function gate(): { readonly passed: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open };
}
