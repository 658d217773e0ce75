import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { problemsOf, type NamedTest } from '../support/contract-page.js';
import { repositoryRoot } from '../support/daemon.js';

const named = (file: string, ...titles: readonly string[]): readonly NamedTest[] =>
  titles.map((title) => ({ file: `test/${file}.test.ts`, title }));

const lost = (...titles: readonly string[]): readonly NamedTest[] =>
  named('integration/lost-answers', ...titles);

/** What each call changes when it comes again after its answer was lost: the tests of it, or that it only reads. */
const CALLS: Readonly<Record<string, 'reads' | readonly NamedTest[]>> = {
  'Admin/GetVersion': 'reads',
  'Admin/Apply': [
    ...lost('makes one job of one document'),
    ...named(
      'integration/rollouts',
      'is one rollout when it is set twice, and none for a version that is not registered',
    ),
  ],
  'Admin/GetObject': 'reads',
  'Admin/ListObjects': 'reads',
  'Admin/DescribeObject': 'reads',
  'Admin/DeleteObject': lost('deletes a job once, and says NOT_FOUND of one that is gone'),
  'Admin/ControlJob': lost('suspends, resumes and cancels a job once'),
  'Admin/WatchObjects': 'reads',
  'Admin/UndoRollout': named(
    'unit/coordinator/rollouts',
    'are undone by id: the same undo again changes nothing, one of an older rollout is refused',
  ),
  'Admin/StreamLogs': 'reads',
  'Admin/CreateInvitation': lost('invites anew, and the token that nobody saw admits nobody'),
  'Admin/ApproveSite': lost('approves and revokes a site once'),
  'Admin/RevokeSite': lost('approves and revokes a site once'),
  'Admin/PublishRoster': lost('publishes a roster once'),
  'Admin/FetchModelBlob': 'reads',
  'Admin/CreateContext': lost('creates and revokes a context once'),
  'Admin/RevokeContext': lost('creates and revokes a context once'),
  'Admin/StreamBackup': 'reads',
  'Enrolment/Enroll': [
    ...named(
      'integration/agent-join',
      'resumes with the same keys where the answer was lost, and does not ask again once it has joined',
    ),
    ...named(
      'integration/coordinator-enrolment',
      'gives the same key the same agent again, and raises an alarm for another',
    ),
  ],
  'Enrolment/GetChallenge': 'reads',
  'Enrolment/Renew': named(
    'integration/coordinator-enrolment',
    'gives a new certificate for a signed challenge, once',
  ),
  'Fleet/Connect': named(
    'unit/agent/session',
    'answers a repeated order with the first answer and neither verifies nor trains again',
  ),
  'Fleet/FetchBlob': 'reads',
  'Fleet/GetUploadStatus': 'reads',
  'Fleet/SubmitUpdate': named(
    'unit/coordinator/app-refusals',
    'gives an accepted upload the first answer again',
  ),
  'Fleet/SubmitStage': named(
    'unit/coordinator/stage-reception',
    'takes a message once, answers its repeat at any time, and refuses another one',
  ),
  'Fleet/GetStage': 'reads',
  'Ledger/GetEntries': 'reads',
  'Ledger/GetTreeHead': 'reads',
  'Ledger/GetInclusionProof': 'reads',
  'Ledger/GetConsistencyProof': 'reads',
  'Ledger/GetCosignatures': 'reads',
};

const PROTOS = join(repositoryRoot, 'proto/tributary/v1');

async function callsOf(file: string): Promise<readonly string[]> {
  const text = await readFile(join(PROTOS, file), 'utf8');
  let service = '';
  const calls: string[] = [];
  for (const [, opened, rpc] of text.matchAll(/^\s*(?:service (\w+)|rpc (\w+)\()/gm)) {
    if (opened !== undefined) service = opened;
    else if (rpc !== undefined) calls.push(`${service}/${rpc}`);
  }
  return calls;
}

describe('calls that are repeated because their answer was lost', () => {
  it('are all of the calls that the .proto files name: each only reads, or has its tests', async () => {
    const files = (await readdir(PROTOS)).filter((name) => name.endsWith('.proto'));
    const calls = (await Promise.all(files.map(callsOf))).flat();
    assert.ok(calls.length > 20, calls.join());
    assert.deepEqual(calls.toSorted(), Object.keys(CALLS).toSorted());
    const clauses = Object.entries(CALLS).flatMap(([sentence, tests]) =>
      tests === 'reads' ? [] : [{ sentence, tests }],
    );
    assert.deepEqual(await problemsOf(clauses, repositoryRoot), []);
  });
});
