import assert from 'node:assert/strict';
import { join } from 'node:path';

import type { JsonObject } from '@tributary/proto';
import { Admin } from '@tributary/proto/grpc';
import { bytesToWords } from '@tributary/proto/internal/secagg/ring-words.js';

import { call } from '../support/channels.js';
import { LocalFederation } from '../support/federation.js';
import { KeptFiles } from '../support/kept-files.js';
import { auditLedger, entriesOf } from '../support/ledger-audit.js';
import { Operator } from '../support/operator.js';
import { RecordingProxy } from '../support/recording-proxy.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { decodings } from './leak/decodings.js';
import {
  decryptTraffic,
  keptEvidence,
  openUpdates,
  roundSecrets,
  storedEvidence,
  toldEvidence,
  type OpenedUpdate,
} from './leak/evidence.js';
import { search, type Evidence } from './leak/planted.js';
import { SECURE_SITES, secureCsv, secureJob } from './leak/secure-site.js';
import { SiteRecords, type TrueUpdate } from './leak/site-records.js';
import { NEEDLES } from './leak/site.js';
import { correlation, correlationBound, unevenness } from './leak/statistics.js';
import { longNeedles, UpdateSearch } from './leak/update-search.js';

const SITES = Object.keys(SECURE_SITES);
/** The one that is killed once its masked update was taken. */
const LOST = 'lund';
const SLOWEST = 'turin';
/** Vectors of fewer words are those of evaluations: figures, and nothing to make statistics of. */
const FEWEST_WORDS = 4_096;
const PARAMETERS = 17_000;
const BYTES = [0, 1, 2, 3] as const;
const UNEVEN = 6;

/** An update as it came to the coordinator, beside what the site knows of it. */
interface Arrived extends OpenedUpdate {
  readonly words: Uint32Array;
  readonly known: TrueUpdate;
}

/** Everything outside of the sites, and all that is in them. */
interface Picture {
  readonly evidence: readonly Evidence[];
  /** What is not encrypted. */
  readonly readable: readonly Evidence[];
  readonly arrived: readonly Arrived[];
  readonly updates: readonly TrueUpdate[];
}

/**
 * Real processes; everything that agents and coordinator say to each other is recorded and decrypted, with the keys that the
 * coordinator has too. What is sought comes from the records that the sites keep for themselves.
 */
describe('single updates under secure aggregation', function () {
  this.timeout(300_000);
  let directory: TemporaryDirectory;
  let federation: LocalFederation;
  let operator: Operator;
  let proxy: RecordingProxy;
  let kept: KeptFiles;
  const records = new Map<string, SiteRecords>();

  const keyLogOf = (site: string): string => join(directory.path, `tls-keys-of-${site}`);
  const envOf = (site: string, more: Readonly<Record<string, string>> = {}) => ({
    NODE_OPTIONS: `--tls-keylog=${keyLogOf(site)}`,
    ...more,
  });

  before(async () => {
    directory = await temporaryDirectory();
    federation = await LocalFederation.start(join(directory.path, 'federation'), 'clinics');
    operator = await Operator.of(federation);
    proxy = await RecordingProxy.start();
    const folders = ['keys', 'checkpoints', 'spool', 'ledger'].map((name) => join(federation.data, name));
    kept = await KeptFiles.start(folders, join(directory.path, 'kept'));
    for (const [index, name] of SITES.entries()) {
      records.set(name, await SiteRecords.start(federation, name));
      await federation.addSite({
        name,
        csv: secureCsv(index + 1, SECURE_SITES[name] ?? 0),
        dataset: 'trial',
        labels: { pool: 'clinics' },
        config: { proxy: { url: proxy.url, noProxy: [] }, logLevel: 'trace' },
        env: envOf(name),
      });
    }
  });

  after(async function () {
    await kept.stop();
    for (const record of records.values()) await record.stop();
    operator.close();
    await federation.stop();
    await proxy.stop();
    if (this.test?.parent?.tests.some((test) => test.isFailed()) === true)
      console.log(`logs are in ${federation.folder}`);
    else await directory.remove();
  });

  const jobIdOf = async (name: string): Promise<string> => {
    const { entries } = await auditLedger(federation);
    return entriesOf(entries, 'job.submitted').find(({ body }) => body.name === name)?.body.jobId ?? '';
  };

  /** What is there to be seen of one job and of all before it. */
  const look = async (job: string): Promise<Picture> => {
    await kept.now();
    const jobId = await jobIdOf(job);
    const updates = (await Promise.all([...records.values()].map((record) => record.updates())))
      .flat()
      .filter(({ item }) => item.jobId === jobId);
    const traffic = await decryptTraffic(proxy.tunnels, ...SITES.map(keyLogOf));
    const opened = openUpdates(traffic.requests, await roundSecrets(kept.files, federation));
    const arrived = opened.flatMap((update) => {
      const known = updates.find(({ item }) => item.uploadId === update.header.uploadId);
      const words = bytesToWords(update.bytes, new Uint32Array(update.bytes.length / 4));
      return known === undefined ? [] : [{ ...update, words, known }];
    });
    const readable = [
      ...traffic.messages,
      ...(await toldEvidence(federation, operator)),
      ...(await storedEvidence(federation)),
      ...(await keptEvidence(kept.files, federation)),
    ];
    return { evidence: [...traffic.evidence, ...opened, ...readable], readable, arrived, updates };
  };

  it('cannot be found in anything that the coordinator gets, keeps or says', async () => {
    await operator.apply(secureJob('masked', {}));
    const lostIn = await loseAfterMask('masked', [2, 3]);
    await operator.event('masked', 'job.completed', undefined, 150_000);
    const { evidence, readable, arrived, updates } = await look('masked');
    const { entries } = await auditLedger(federation);
    const committed = entriesOf(entries, 'round.committed');
    assert.equal(committed.length, 4, 'three rounds and an evaluation');
    const withoutHim = entriesOf(entries, 'stage.closed').filter(
      ({ body }) => body.round === lostIn && body.stage === 'agree' && !body.participants.includes(LOST),
    );
    assert.equal(withoutHim.length, 1, `${LOST} was lost after its mask`);
    assert.ok(committed[lostIn - 1]?.body.reporting.includes(LOST), 'its update is in the sum');
    // The sites' own records are of what left: bit for bit, by everybody and in every round.
    const accepted = entriesOf(entries, 'update.accepted').map(({ body }) => body.uploadId);
    assert.deepEqual(new Set(arrived.map(({ header }) => header.uploadId)), new Set(accepted));
    for (const { words, known } of arrived) assert.deepEqual(words, known.words?.sent);
    const sought = new UpdateSearch(updates);
    assert.ok(
      sought.size.windows > 1_000_000 && sought.size.proportions > 100_000,
      JSON.stringify(sought.size),
    );
    assert.ok(sought.size.figures > 100, JSON.stringify(sought.size));
    requireRead(evidence);
    assert.deepEqual(sought.vectors(evidence), []);
    assert.deepEqual(sought.figures(readable), []);
    assert.deepEqual(search(evidence, longNeedles(NEEDLES)), []);
  });

  it('say nothing of themselves by statistics either', async () => {
    const { arrived } = await look('masked');
    const vectors = arrived.filter(({ words }) => words.length >= FEWEST_WORDS);
    assert.ok(vectors.length >= 3 * 3);
    for (const { words, place, known } of vectors) {
      for (const byte of BYTES) assert.ok(unevenness(words, byte) < UNEVEN, `${place}, byte ${String(byte)}`);
      for (const other of vectors) {
        const plain = asSigned(other.known.words?.bare);
        const bound = correlationBound(words.length);
        const name = `${known.site} and ${other.known.site}`;
        assert.ok(Math.abs(correlation(words, plain)) < bound, name);
        assert.ok(Math.abs(correlation(asSigned(words), plain)) < bound, name);
        if (other.words !== words) requireEven(difference(words, other.words), `${name}, one less the other`);
      }
    }
    // Whatever the coordinator adds up, with the seeds of the survivors: only everybody's sum is more than noise.
    for (const round of [1, 2, 3]) {
      const together = vectors.filter(({ known }) => known.item.round === round);
      for (const part of parts(together)) {
        const sum = sumOf(part.map(({ known }) => known.words?.pairMasked ?? new Uint32Array()));
        const name = part.map(({ known }) => known.site).join(' + ');
        if (part.length < together.length) requireEven(sum, name);
        else {
          assert.ok(unevenness(sum, 3) > 100 * UNEVEN, 'the sum of all is one of updates');
          assert.deepEqual(sum, sumOf(part.map(({ known }) => known.words?.bare ?? new Uint32Array())));
        }
      }
    }
  });

  it('are found, each, where the same job is run in the clear', async () => {
    await operator.apply(secureJob('plain', { secureAggregation: false }, { rounds: 2 }));
    await operator.event('plain', 'job.completed', undefined, 120_000);
    const { arrived, updates } = await look('plain');
    assert.ok(arrived.length >= 3 * 3);
    const found = new UpdateSearch(updates).vectors(arrived);
    for (const { place, vector, known } of arrived) {
      const own = found.filter((line) => line.startsWith(place));
      const all = own.join('\n');
      assert.ok(
        own.some((line) => line.includes(`${known.site} in ${known.key}: weighted vector, float32 LE`)),
        all,
      );
      if (known.delta.length === 0) continue;
      assert.ok(
        own.some((line) => line.includes(`${known.site} in ${known.key}: delta times something`)),
        all,
      );
      assert.ok(correlation(vector, known.vector) > 0.99);
      assert.ok(
        unevenness(
          new Uint32Array(vector.buffer.slice(vector.byteOffset, vector.byteOffset + vector.byteLength)),
          3,
        ) > UNEVEN,
      );
    }
  });

  it('are found where sites leave masks out', async () => {
    const left = { basel: 'none', delft: 'self', lund: 'pairs' } as const;
    for (const [site, masks] of Object.entries(left)) {
      await federation.agents.get(site)?.stop();
      federation.startAgent(site, {
        script: join(import.meta.dirname, 'leak/unmasked-agent.js'),
        env: envOf(site, { TEST_MASKS: masks }),
      });
    }
    await operator.apply(secureJob('bare', {}, { minSites: 4, rounds: 1 }));
    for (const site of SITES)
      await operator.event('bare', 'update.accepted', (body) => body['site'] === site, 60_000);
    await call(operator.admin, Admin.service, 'ControlJob', {
      name: 'bare',
      action: 'CANCEL',
      reason: 'seen',
    });
    const { arrived, updates } = await look('bare');
    const found = new UpdateSearch(updates).vectors(arrived);
    const ofSite = (site: string): string =>
      found.filter((line) => line.includes(`: ${site} in `)).join('\n');
    assert.match(ofSite('basel'), /: words, LE/);
    assert.match(ofSite('basel'), /: delta times something, as int32 LE/);
    assert.match(ofSite('delft'), /: words under the self mask alone, LE/);
    assert.match(ofSite('lund'), /: words under pair masks alone, LE/);
    assert.equal(ofSite('turin'), '');
    const bare = arrived.find(({ known }) => known.site === 'basel');
    assert.ok(bare !== undefined && unevenness(bare.words, 3) > UNEVEN);
    assert.ok(correlation(asSigned(bare.words), asSigned(bare.known.words?.bare)) > 0.99);
  });

  /**
   * The slowest site is held up once it has dealt its shares, so that the round still gathers updates when the lost one is
   * killed. Resolves with the round in which that came in time; the lost one is back for the next.
   */
  async function loseAfterMask(job: string, rounds: readonly number[]): Promise<number> {
    const slow = federation.agents.get(SLOWEST)?.pid ?? 0;
    const accepted = async (round: number, site: string): Promise<boolean> =>
      (await operator.events('FederatedJob', job)).some(
        ({ type, body }) => type === 'update.accepted' && body['round'] === round && body['site'] === site,
      );
    for (const round of rounds) {
      const of = (body: JsonObject): boolean => body['round'] === round;
      await operator.event(job, 'stage.closed', (body) => of(body) && body['stage'] === 'share', 90_000);
      process.kill(slow, 'SIGSTOP');
      try {
        if (await accepted(round, SLOWEST)) continue;
        await operator.event(job, 'update.accepted', (body) => of(body) && body['site'] === LOST);
        await federation.agents.get(LOST)?.stop('SIGKILL');
      } finally {
        process.kill(slow, 'SIGCONT');
      }
      await operator.event(job, 'round.committed', of, 90_000);
      federation.startAgent(LOST);
      return round;
    }
    throw new Error(`${SLOWEST} was never the last one`);
  }
});

/** The search is worth something only where the traffic was read. */
function requireRead(evidence: readonly Evidence[]): void {
  const seen = (place: string, text: string): void =>
    assert.ok(
      evidence.some((one) => one.place.includes(place) && one.bytes.includes(text)),
      `${place} shows ${text}`,
    );
  seen('/tributary.v1.Enrolment/Enroll', 'agent');
  seen('/tributary.v1.Fleet/Connect', 'datasets');
  seen('messages of /tributary.v1.Fleet/SubmitStage', 'maskKey');
  seen('messages of /tributary.v1.Fleet/SubmitStage', 'seedHash');
  seen('messages of /tributary.v1.Fleet/GetStage', 'rosterDigest');
  const stages = evidence.filter(({ place }) => place.startsWith('opened stage.'));
  const said = stages.flatMap((stage) => decodings(stage));
  assert.ok(
    said.some(({ bytes }) => bytes.includes('survivorsDigest')),
    'what the coordinator had sealed is read',
  );
  const answers = evidence.filter(({ place }) => place.includes('answer to /tributary.v1.Fleet/FetchBlob'));
  assert.ok(
    answers.some(({ bytes }) => bytes.length > 4 * PARAMETERS),
    'models are read',
  );
  seen('/tributary.v1.Fleet/SubmitUpdate', 'x25519-xsalsa20poly1305');
  seen('log of turin', 'training');
  seen('told of masked', 'round.committed');
}

function requireEven(words: Uint32Array, name: string): void {
  for (const byte of BYTES) assert.ok(unevenness(words, byte) < UNEVEN, `${name}: byte ${String(byte)}`);
}

const asSigned = (words?: Uint32Array): Int32Array => Int32Array.from<number>(words ?? []);

const difference = (words: Uint32Array, others: Uint32Array): Uint32Array =>
  words.map((word, index) => word - (others[index] ?? 0));

function sumOf(vectors: readonly Uint32Array[]): Uint32Array {
  const sum = new Uint32Array(vectors[0]?.length ?? 0);
  for (const words of vectors) words.forEach((word, index) => (sum[index] = (sum[index] ?? 0) + word));
  return sum;
}

/** Every choice of one and more. */
function parts<T>(items: readonly T[]): readonly (readonly T[])[] {
  return Array.from({ length: 2 ** items.length - 1 }, (_, choice) =>
    items.filter((__, index) => ((choice + 1) >> index) % 2 === 1),
  );
}
