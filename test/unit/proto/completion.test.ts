import assert from 'node:assert/strict';

import { readCommandTree, type CommandNode } from '@tributary/proto/internal/command-line/command-tree.js';
import { completionScript, SHELLS } from '@tributary/proto/internal/command-line/completion-script.js';
import { completionTable } from '@tributary/proto/internal/command-line/completion-table.js';
import { Command, Option } from 'commander';

import { COMMAND_TREES } from '../../support/command-trees.js';
import { refusal } from '../../support/refusal.js';

function program(): Command {
  const root = new Command('ferry').version('1').option('--deck <level>', 'where');
  root
    .command('load <file> [goods...]')
    .description("it's loaded")
    .addOption(new Option('-s, --size <size>').choices(['small', 'large']))
    .option('--fast', 'at once')
    .option('--at <pier>', 'where to');
  root.command('secret', { hidden: true });
  root.command('crew').command('list');
  return root;
}

const tree = (): CommandNode => readCommandTree(program(), { pier: { type: 'Names', source: 'piers' } });

describe('completion', () => {
  it('reads commands, options, choices, files and names from the tree of commander', () => {
    const rows = new Map(
      completionTable(tree()).flatMap((row) =>
        row.keys.map((key) => [key, 'text' in row ? row.text : row.offers.map(({ word }) => word).join(' ')]),
      ),
    );
    assert.equal(rows.get('#words'), 'load crew help');
    assert.equal(rows.get('#flags'), '-V --version --deck -h --help');
    assert.equal(rows.get('load'), 'command');
    assert.equal(rows.get('crew #words'), 'list help');
    assert.equal(rows.get('load #1'), 'files');
    assert.equal(rows.get('load #rest'), 'anything');
    assert.equal(rows.get('load -s'), 'words small large');
    assert.equal(rows.get('load --at'), 'names piers');
    assert.equal(rows.get('load --fast'), undefined, 'takes no value');
    assert.equal(rows.get('load --deck'), 'anything', 'options of the program hold after its commands too');
    assert.equal(rows.get('load #flags'), '-s --size --fast --at -h --help --deck');
    assert.ok(![...rows.keys(), ...rows.values()].some((text) => text.includes('secret')));
  });

  it('is written for each shell and no other', () => {
    for (const shell of SHELLS) assert.ok(completionScript(shell, tree()).includes('ferry'));
    assert.throws(() => completionScript('csh', tree()), refusal('USAGE', /csh: no script/));
  });

  it('covers every command of ours: no word of the tree needs quoting by a shell', () => {
    for (const root of COMMAND_TREES.values())
      for (const row of completionTable(root))
        for (const word of 'text' in row ? row.text.split(' ') : row.offers.map((offer) => offer.word))
          assert.match(word, /^[A-Za-z0-9=_@.-]+$/);
  });
});
