import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { createServer, type Server as SilentServer } from 'node:net';
import { join } from 'node:path';

import { Server, ServerCredentials, type sendUnaryData, type ServerUnaryCall } from '@grpc/grpc-js';
import { canonicalize } from '@tributary/proto';
import { Admin, type ListObjectsRequest__Output, type ListObjectsResponse } from '@tributary/proto/grpc';
import { stringify } from 'yaml';

import { BINARIES, runCommand } from '../support/daemon.js';
import type { CompletingShell } from '../support/shells.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

const NAMES: Readonly<Record<string, readonly string[]>> = {
  FederatedJob: ['loans', 'patients'],
  Site: ['north'],
  Model: ['loans'],
};

const object = (kind: string, name: string): ListObjectsResponse['objects'] => [
  {
    kind,
    name,
    seq: '1',
    document: Buffer.from(canonicalize({ status: { versions: [{ version: 1 }, { version: 2 }] } })),
  },
];

function listObjects(
  call: ServerUnaryCall<ListObjectsRequest__Output, ListObjectsResponse>,
  respond: sendUnaryData<ListObjectsResponse>,
): void {
  const { kind } = call.request;
  respond(null, { objects: (NAMES[kind] ?? []).flatMap((name) => object(kind, name) ?? []) });
}

/** What the completion script of a shell offers, with a coordinator that lists objects and with none. */
export function shellCompletionSuite(shell: CompletingShell): void {
  const title = shell.available() ? `completion in ${shell.name}` : `completion (needs ${shell.name})`;
  describe(title, function () {
    this.timeout(60_000);
    let folder: TemporaryDirectory;
    let server: Server;
    let silent: SilentServer;
    let env: Readonly<Record<string, string>>;

    before(async function () {
      if (!shell.available()) return this.skip();
      folder = await temporaryDirectory();
      const socket = `unix:${join(folder.path, 'admin.sock')}`;
      const config = join(folder.path, 'config.yaml');
      const contexts = [
        { name: 'hub', server: socket },
        { name: 'silent', server: `unix:${join(folder.path, 'silent.sock')}` },
        { name: 'away', server: `unix:${join(folder.path, 'nobody.sock')}` },
      ];
      const authors = [{ name: 'analyst', seed: `${'A'.repeat(43)}=` }];
      await writeFile(config, stringify({ formatVersion: 1, currentContext: 'hub', contexts, authors }), {
        mode: 0o600,
      });
      const agentConfig = join(folder.path, 'agent.yaml');
      const datasets = ['stays', 'curves'].map((name) => ({ name, path: `./${name}.csv`, format: 'Csv' }));
      await writeFile(agentConfig, stringify({ formatVersion: 1, dataDir: './data', datasets }));
      env = { TRIBUTARY_CONFIG: config, TRIBUTARY_AGENT_CONFIG: agentConfig };
      silent = createServer((socket) => socket.resume()).listen(join(folder.path, 'silent.sock'));
      server = new Server();
      server.addService(Admin.service, { ListObjects: listObjects });
      await new Promise<void>((resolve, reject) => {
        server.bindAsync(socket, ServerCredentials.createInsecure(), (error) => {
          if (error === null) resolve();
          else reject(error);
        });
      });
      for (const program of ['tributary', 'coordinator', 'agent'] as const) {
        const { stdout, code } = await runCommand(BINARIES[program], ['completion', shell.name]);
        assert.equal(code, 0);
        await writeFile(scriptOf(program), stdout);
      }
    });

    after(async () => {
      if (!shell.available()) return;
      server.forceShutdown();
      silent.close();
      await folder.remove();
    });

    const scriptOf = (program: string): string => join(folder.path, `${program}.${shell.name}`);

    async function offered(line: string): Promise<readonly string[]> {
      const program = /^tributary-?([a-z]*) /.exec(line)?.[1] ?? '';
      return [...(await shell.offers(scriptOf(program === '' ? 'tributary' : program), line, env))].sort();
    }

    for (const [line, words] of [
      ['tributary jo', ['job']],
      ['tributary job le', ['leave-one-out']],
      ['tributary get ', ['fj', 'model', 'rollout', 'site']],
      ['tributary get fj -o ', ['json', 'table', 'yaml']],
      ['tributary get fj --output=y', ['yaml']],
      ['tributary get fj --outp', ['--output']],
      ['tributary models export loans --format o', ['onnx']],
      ['tributary explain STORE_', ['STORE_CORRUPT', 'STORE_FULL', 'STORE_LOCKED']],
      ['tributary apply -f package-', ['package-lock.json']],
      ['tributary-coordinator serve --log-level de', ['debug']],
      ['tributary-coordinator re', ['restore']],
      ['tributary-agent dataset d', ['describe']],
      ['tributary-agent status -o t', ['text']],
    ] as const) {
      it(`${line} gives ${words.join(' ')}`, async () => {
        assert.deepEqual(await offered(line), words);
      });
    }

    for (const [line, words] of [
      ['tributary get fj ', ['loans', 'patients']],
      ['tributary describe fj/p', ['fj/patients']],
      ['tributary describe si', ['site/']],
      ['tributary cancel lo', ['loans']],
      ['tributary context use ', ['away', 'hub', 'silent']],
      ['tributary apply --author ', ['analyst']],
      ['tributary-agent dataset describe ', ['curves', 'stays']],
    ] as const) {
      it(`${line} asks for names and gives ${words.join(' ')}`, async () => {
        assert.deepEqual(await offered(line), words);
      });
    }

    it('knows the versions of models, of which bash replaces what stands after the @', async () => {
      const versions = await offered('tributary rollout set loans@');
      assert.deepEqual(versions, shell.name === 'bash' ? ['1', '2'] : ['loans@1', 'loans@2']);
    });

    it('says nothing where nobody answers, and says it soon', async () => {
      const began = performance.now();
      assert.deepEqual(await offered('tributary --context away get fj '), []);
      assert.deepEqual(await offered('tributary --context silent get fj '), []);
      assert.deepEqual(await offered('tributary-agent rollback '), []);
      assert.ok(performance.now() - began < 15_000);
    });
  });
}
