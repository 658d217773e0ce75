import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { commandFault } from '../support/command-trees.js';
import { repositoryRoot } from '../support/daemon.js';

const PAGE = join(repositoryRoot, 'deploy/README.md');

describe('deploy/README.md', () => {
  it('names no command and no option of ours that does not exist', async () => {
    const text = await readFile(PAGE, 'utf8');
    const blocks = [...text.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, body = '']) =>
      body.replace(/\\\n/g, ' '),
    );
    const inline = [...text.replace(/```[^]*?```/g, '').matchAll(/`(tributary[^`]*)`/g)].map(
      ([, line = '']) => line,
    );
    const lines = blocks
      .flatMap((block) => block.split('\n'))
      .concat(inline)
      .map((line) =>
        line
          .replace(/ +#.*$/, '')
          .replace(/^\(umask 077 && (.*)\)$/, '$1')
          .replace(/ [<>] .*$/, '')
          .replace(/^.* -- /, '')
          .replace(/"[^"]*"/g, 'X'),
      );
    const ours = lines.filter((line) => /^tributary(?:-agent|-coordinator)? /.test(line));
    assert.ok(ours.length >= 15, `only ${String(ours.length)} commands were found`);
    assert.deepEqual(
      ours.map(commandFault).filter((fault) => fault !== undefined),
      [],
    );
  });

  it('links to files that are there', async () => {
    const text = await readFile(PAGE, 'utf8');
    const links = [...text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)];
    assert.ok(links.length > 0, 'no link was found');
    for (const [, path = ''] of links) await readFile(join(repositoryRoot, 'deploy', path));
  });
});
