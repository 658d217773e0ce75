import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { commandFault, COMMAND_TREES } from '../support/command-trees.js';
import { repositoryRoot } from '../support/daemon.js';

const FOLDER = join(repositoryRoot, 'deploy/images');

/** Instructions of the last stage, continued lines joined. */
function lastStage(text: string): readonly (readonly [word: string, rest: string])[] {
  const lines = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .replaceAll('\\\n', '')
    .split('\n')
    .filter((line) => line !== '');
  const from = lines.findLastIndex((line) => line.startsWith('FROM '));
  return lines.slice(from).map((line) => [line.split(' ', 1)[0] ?? '', line.slice(line.indexOf(' ') + 1)]);
}

describe('deploy/images, read but not built', () => {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.Containerfile'));

  it('are those of coordinator and agent, and of the agent with CUDA', () => {
    assert.deepEqual(files.sort(), [
      'agent-cuda.Containerfile',
      'agent.Containerfile',
      'coordinator.Containerfile',
    ]);
  });

  for (const file of files) {
    const text = readFileSync(join(FOLDER, file), 'utf8');
    const stage = lastStage(text);
    const of = (word: string): readonly string[] =>
      stage.filter(([name]) => name === word).map(([, rest]) => rest);

    it(`${file} runs a command that exists as the user of the charts`, () => {
      assert.deepEqual(of('USER'), ['65532:65532']);
      const [program = ''] = JSON.parse(of('ENTRYPOINT')[0] ?? '[]') as string[];
      assert.ok(COMMAND_TREES.has(program));
      const words = JSON.parse(of('CMD')[0] ?? '[]') as string[];
      assert.equal(commandFault([program, ...words].join(' ')), undefined);
    });

    it(`${file} names the versions of what it begins with, and takes what is there`, () => {
      for (const [, image = ''] of text.matchAll(/^FROM (\S+)/gm))
        assert.match(image, /^[a-z.]+\/[a-z/]+:.*[0-9]/);
      const copied = of('COPY').flatMap((rest) =>
        rest.startsWith('--from=build ')
          ? [...rest.matchAll(/(?<= )\/opt\/tributary\/(\S+)/g)].map(([, path = '']) => path)
          : [],
      );
      assert.ok(copied.includes('proto') && copied.includes('LICENSE'));
      for (const path of copied) assert.ok(existsSync(join(repositoryRoot, path)), path);
      assert.match(text, /^# Not built by our tests/m);
    });
  }
});
