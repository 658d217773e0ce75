import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { canonicalize } from '@tributary/proto';
import { stringify } from 'yaml';

import { CliSession } from '../../support/cli-session.js';
import { altered } from '../../support/job-document.js';
import { refusal } from '../../support/refusal.js';
import { temporaryDirectory, type TemporaryDirectory } from '../../support/temporary-directory.js';
import { trialJob } from '../../support/trial-job.js';

const AUTHOR = { name: 'analyst', seed: `${'A'.repeat(43)}=` };

describe('words of the tributary command', () => {
  for (const [words, message] of [
    [['frobnicate'], /unknown command/],
    [['get'], /missing required argument/],
    [['get', 'pods'], /pods: no such kind/],
    [['get', 'fj', '-o', 'xml'], /--output.* 'xml' is invalid. Allowed choices are table, json, yaml/],
    [
      ['models', 'export', 'loans', '--to', 'x', '--format', 'h5'],
      /'h5' is invalid. Allowed choices are tfjs, onnx/,
    ],
    [['get', 'fj', '--wide'], /unknown option/],
    [['describe', 'loans'], /name an object as KIND\/NAME/],
    [['apply'], /required option/],
    [['apply', '-f', '/nowhere/job.yaml'], /job\.yaml: cannot be read \(ENOENT\)/],
    [['wait', 'fj/loans', '--for', 'Complete'], /--for: Complete is neither/],
    [
      ['wait', 'fj/loans', '--for', 'condition=Complete', '--timeout', 'soon'],
      /--timeout: soon is not a duration/,
    ],
    [['invite', 'north', '--ttl', '1w'], /--ttl: 1w is not a duration/],
    [['invite', 'north', '--label', 'west'], /--label: west is not KEY=VALUE/],
    [['logs', '--tail', 'many'], /not a whole number/],
    [['context', 'create', 'bob', '--role', 'root'], /'root' is invalid. Allowed choices are admin, viewer/],
  ] as const) {
    it(`tributary ${words.join(' ')} is refused with USAGE`, async () => {
      const cli = new CliSession();
      await assert.rejects(cli.run(...words), refusal('USAGE', message));
      assert.deepEqual(cli.calls, [], 'nothing was asked of the coordinator');
    });
  }

  it('--help and version --client need no coordinator', async () => {
    const cli = new CliSession();
    await cli.run('--help');
    await cli.run('version', '--client');
    assert.match(
      cli.terminal.results.join('\n'),
      /Operates a Tributary federation[^]*client: [0-9]+\.[0-9]+\.[0-9]+/,
    );
    assert.deepEqual(cli.calls, []);
  });

  it('send what they say', async () => {
    const cli = new CliSession({
      CreateInvitation: () => ({ token: 'trib1.x', expiresAt: '2026-01-02T00:00:00.000Z' }),
      ControlJob: () => ({}),
      DeleteObject: () => ({}),
      RevokeSite: () => ({}),
    });
    await cli.run('invite', 'north', '--label', 'region=west', '--ttl', '2h', '--approve');
    await cli.run('invite', 'north', '--serving');
    await cli.run('cancel', 'fj/loans', '--reason', 'wrong features');
    await cli.run('delete', 'fj', 'loans');
    await cli.run('revoke', 'north', '--reason', 'stolen');
    await cli.run('revoke', 'north', '--only', 'agt-1');
    assert.deepEqual(cli.calls, [
      {
        method: 'CreateInvitation',
        request: { site: 'north', labels: { region: 'west' }, ttlSeconds: 7_200, approve: true },
      },
      {
        method: 'CreateInvitation',
        request: { site: 'north', ttlSeconds: 86_400, labels: {}, approve: false, kind: 'Serving' },
      },
      { method: 'ControlJob', request: { name: 'loans', action: 'CANCEL', reason: 'wrong features' } },
      { method: 'DeleteObject', request: { kind: 'FederatedJob', name: 'loans' } },
      { method: 'RevokeSite', request: { site: 'north', reason: 'stolen' } },
      { method: 'RevokeSite', request: { site: 'north', reason: '', agentId: 'agt-1' } },
    ]);
    assert.equal(cli.terminal.results[0], 'trib1.x', 'the token alone goes to standard output');
  });
});

describe('tributary apply', () => {
  let directory: TemporaryDirectory;
  before(async () => {
    directory = await temporaryDirectory();
  });
  after(() => directory.remove());

  async function applied(text: string, authors = [AUTHOR]): Promise<CliSession> {
    const path = join(directory.path, 'job.yaml');
    await writeFile(path, text);
    const cli = new CliSession({
      Apply: ({ dryRun }) => ({ outcome: dryRun === true ? 'UNCHANGED' : 'CREATED' }),
    });
    cli.contexts = { ...cli.contexts, authors };
    await cli.run('apply', '-f', path);
    return cli;
  }

  it('signs and submits every document of a file', async () => {
    const cli = await applied(
      [trialJob('one'), trialJob('two')].map((document) => stringify(document)).join('---\n'),
    );
    assert.deepEqual(cli.terminal.results, ['federatedjob/one created', 'federatedjob/two created']);
    assert.deepEqual(
      cli.calls.map(({ request }) => (request['signature'] as Buffer).length),
      [64, 64],
    );
  });

  it('says of a job that has ended that it does not run again', async () => {
    const path = join(directory.path, 'ended.yaml');
    await writeFile(path, stringify(trialJob('one')));
    for (const [phase, notes] of [
      ['Failed', [/one has ended \(Failed\).*another name, or tributary delete fj\/one/]],
      ['Running', []],
    ] as const) {
      const document = Buffer.from(canonicalize({ status: { phase } }));
      const object = { kind: 'FederatedJob', name: 'one', seq: '9', document };
      const cli = new CliSession({ Apply: () => ({ outcome: 'UNCHANGED', object }) });
      cli.contexts = { ...cli.contexts, authors: [AUTHOR] };
      await cli.run('apply', '-f', path);
      assert.deepEqual(cli.terminal.results, ['federatedjob/one unchanged']);
      assert.equal(cli.terminal.notes.length, notes.length);
      notes.forEach((expected, index) => assert.match(cli.terminal.notes[index] ?? '', expected));
    }
  });

  for (const [what, text, message] of [
    ['an unknown field', stringify(altered(trialJob('one'), 'spec.round', 3)), /job\.yaml: spec\.round/],
    [
      'a value of the wrong kind',
      stringify(altered(trialJob('one'), 'spec.rounds', 'many')),
      /job\.yaml: spec\.rounds/,
    ],
    [
      'a missing field',
      stringify(altered(trialJob('one'), 'spec.rounds', undefined)),
      /job\.yaml: spec\.rounds/,
    ],
    [
      'a fault in the second of two',
      `${stringify(trialJob('one'))}---\n${stringify(altered(trialJob('two'), 'spec.rounds', 0))}`,
      /job\.yaml, document 2: spec\.rounds/,
    ],
    ['no document at all', '# nothing\n', /the files hold no document/],
    ['text that is not YAML', 'a: [1, 2\nb: }', /job\.yaml: /],
    ['an alias', 'a: &x 1\nb: *x\n', /job\.yaml: /],
    ['a key twice', 'kind: FederatedJob\nkind: FederatedJob\n', /job\.yaml: /],
  ] as const) {
    it(`refuses ${what} before anything is sent, naming file and place`, async () => {
      await assert.rejects(applied(text), refusal('DOCUMENT_INVALID', message));
    });
  }

  it('names what this version does not serve', async () => {
    const noisy = altered(trialJob('one'), 'spec.privacy.differentialPrivacy', { epsilon: 1 });
    await assert.rejects(applied(stringify(noisy)), refusal('DOCUMENT_UNSUPPORTED', /differentialPrivacy/));
  });

  it('asks for an author, and which one where there are several', async () => {
    await assert.rejects(applied(stringify(trialJob('one')), []), refusal('CONFIG_INVALID', /no author key/));
    const two = [AUTHOR, { ...AUTHOR, name: 'other' }];
    await assert.rejects(
      applied(stringify(trialJob('one')), two),
      refusal('USAGE', /choose one with --author/),
    );
  });
});
