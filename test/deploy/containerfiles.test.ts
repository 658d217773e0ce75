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

  it('are given neither tests, nor keys, nor what was built or installed here', () => {
    const ignored = readFileSync(join(repositoryRoot, '.dockerignore'), 'utf8').trim().split('\n');
    for (const pattern of [
      '.git',
      'test',
      '**/node_modules',
      '**/dist',
      '**/gen',
      '**/*.tsbuildinfo',
      '**/.tributary',
    ])
      assert.ok(ignored.includes(pattern), pattern);
    for (const pattern of ['**/*.pem', '**/*.key', '**/.env*']) assert.ok(ignored.includes(pattern), pattern);
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

    it(`${file} takes nothing of what is not pinned but CUDA, and names the versions of what it begins with`, () => {
      const defaults = new Map(
        [...text.matchAll(/^ARG ([A-Z]+)=(\S+)$/gm)].map(([, name = '', image = '']) => [name, image]),
      );
      for (const image of defaults.values()) assert.match(image, /^[a-z.]+\/[a-z/]+:[0-9]+\.[0-9]+\.[0-9]+-/);
      const begun = [...text.matchAll(/^FROM (\S+)/gm)].map(([, image = '']) => image);
      const last = file.includes('cuda') ? '${CUDA}' : 'scratch';
      assert.deepEqual(begun, ['${BUILDER}', last]);
      assert.ok(defaults.has('BUILDER') && (last === 'scratch' || defaults.has('CUDA')));
      for (const rest of of('COPY')) assert.match(rest, /^--from=build (--chown=65532:65532 )?\/image\//);
      // The last stage runs nothing: it may have no shell.
      assert.deepEqual(of('RUN').concat(of('ADD'), of('HEALTHCHECK')), []);
      assert.match(text, /^# Not built by our tests/m);
    });

    it(`${file} runs scripts of npm, and compiles projects, that there are`, () => {
      const { scripts } = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8')) as {
        readonly scripts: Readonly<Record<string, string>>;
      };
      const ran = [...text.matchAll(/^RUN .*npm run (\S+)/gm)].map(([, script = '']) => script);
      assert.deepEqual(ran, ['generate']);
      for (const script of ran) assert.ok(scripts[script] !== undefined, script);
      const [, projects = ''] = /npx tsc -b (.*)$/m.exec(text) ?? [];
      assert.ok(projects.includes('deploy/images'));
      for (const project of projects.split(' '))
        assert.ok(existsSync(join(repositoryRoot, project, 'tsconfig.json')), project);
    });
  }
});
