import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import {
  Server,
  ServerCredentials,
  type ServerWritableStream,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { canonicalize, TributaryError } from '@tributary/proto';
import {
  Admin,
  toServiceError,
  type WatchEvent,
  type WatchObjectsRequest__Output,
} from '@tributary/proto/grpc';
import { stringify } from 'yaml';

import { BINARIES, Daemon, runCommand, type Finished } from '../support/daemon.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

type WatchCall = ServerWritableStream<WatchObjectsRequest__Output, WatchEvent>;

function jobEvent(seq: number, round: number): WatchEvent {
  const document = {
    kind: 'FederatedJob',
    metadata: { name: 'loans' },
    spec: { rounds: 10 },
    status: { currentRound: round, conditions: [] },
  };
  return {
    type: 'MODIFIED',
    seq: String(seq),
    object: {
      kind: 'FederatedJob',
      name: 'loans',
      seq: String(seq),
      document: Buffer.from(canonicalize(document)),
    },
  };
}

/** The command as a process, against an admin service on a Unix socket that says what a test wants. */
describe('tributary as a process', function () {
  this.timeout(30_000);
  let directory: TemporaryDirectory;
  let contextFile: string;
  let socket: string;

  before(async () => {
    directory = await temporaryDirectory();
    contextFile = join(directory.path, 'config.yaml');
    socket = join(directory.path, 'admin.sock');
    const context = { name: 'test', server: `unix:${socket}` };
    await writeFile(
      contextFile,
      stringify({ formatVersion: 1, currentContext: 'test', contexts: [context], authors: [] }),
      { mode: 0o600 },
    );
  });

  after(() => directory.remove());

  const tributary = (...words: readonly string[]): Promise<Finished> =>
    runCommand(BINARIES.tributary, words, { TRIBUTARY_CONFIG: contextFile });

  /** Serves the methods given; the others are not implemented. */
  async function serve(methods: UntypedServiceImplementation): Promise<Server> {
    await rm(socket, { force: true });
    const server = new Server();
    server.addService(Admin.service, methods);
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    return server;
  }

  for (const [words, exit, stderr] of [
    [['--help'], 0, /^$/],
    [['--version'], 0, /^$/],
    [['frobnicate'], 10, /unknown command 'frobnicate'\n {2}try: tributary --help\n$/],
    [['audit', 'verfy'], 10, /unknown command 'verfy'[^]*\n {2}try: tributary audit --help\n$/],
    [['get', 'pods'], 10, /^error: USAGE: pods: no such kind\n {2}try: Kinds are/],
    [
      ['apply', '-f', '/nowhere.yaml'],
      10,
      /^error: USAGE: \/nowhere\.yaml: cannot be read \(ENOENT\)\n {2}try: /,
    ],
    [
      ['--context', 'other', 'get', 'fj'],
      18,
      /^error: CONFIG_INVALID: no context named other\n {2}try: contexts of the file: test/,
    ],
  ] as const) {
    it(`${words.join(' ')} ends with ${String(exit)}`, async () => {
      const finished = await tributary(...words);
      assert.equal(finished.code, exit, finished.stderr);
      assert.match(finished.stderr, stderr);
    });
  }

  it('says what to look at where nobody answers', async () => {
    const { code, stderr } = await tributary('get', 'fj');
    assert.equal(code, 70);
    assert.match(stderr, /^error: UNAVAILABLE: .*\n {2}try: see whether `tributary-coordinator serve` runs/);
  });

  it('ends with the code of a refusal, and says what to try', async () => {
    const server = await serve({
      GetObject: (_call: unknown, respond: (error: Error) => void) => {
        respond(
          toServiceError(
            new TributaryError('NOT_FOUND', 'no FederatedJob named loans', {
              hint: 'tributary get federatedjob',
            }),
          ),
        );
      },
    });
    const { code, stdout, stderr } = await tributary('get', 'fj/loans');
    server.forceShutdown();
    assert.deepEqual([code, stdout], [15, '']);
    assert.equal(
      stderr,
      'error: NOT_FOUND: no FederatedJob named loans\n  try: tributary get federatedjob\n' +
        '  see: tributary explain NOT_FOUND (ERRORS.md#not_found)\n',
    );
  });

  it('resumes a watch with the last sequence number when the service comes back', async () => {
    const asked: (string | undefined)[] = [];
    let stage = 0;
    const watch = (call: WatchCall): void => {
      asked.push(call.request.afterSeq);
      stage += 1;
      call.write(jobEvent(stage * 10, stage));
    };
    const methods = { WatchObjects: watch };
    const first = await serve(methods);
    const logFile = join(directory.path, 'watch.log');
    const command = new Daemon({
      script: BINARIES.tributary,
      args: ['get', 'fj', '-w'],
      logFile,
      env: { TRIBUTARY_CONFIG: contextFile },
    });
    await eventually('the first change', async () =>
      (await command.log()).includes('1/10') ? true : undefined,
    );
    first.forceShutdown();
    const second = await serve(methods);
    await eventually('the second change', async () =>
      (await command.log()).includes('2/10') ? true : undefined,
    );
    const { code } = await command.stop('SIGINT');
    second.forceShutdown();
    assert.equal(code, 0);
    assert.deepEqual(asked, [undefined, '10']);
  });
});
