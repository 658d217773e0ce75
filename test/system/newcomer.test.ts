import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { commandFault } from '../support/command-trees.js';
import { repositoryRoot } from '../support/daemon.js';
import { canConnect } from '../support/local-ports.js';
import { mosquittoInstalled } from '../support/mosquitto.js';
import { readmeSteps } from '../support/readme-steps.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { Terminal, type Answer } from '../support/terminal.js';
import { eventually } from '../support/waiting.js';

const available = mosquittoInstalled() && existsSync('/usr/bin/mosquitto_pub');
const README = await readFile(join(repositoryRoot, 'README.md'), 'utf8');
const STEPS = readmeSteps(README, 'Your own federation');

/** The ports that the section names: the coordinator's and the broker's. */
const PORTS = [7443, 7444, 7445, 7446, 7447, 1883];

/** What the README says that a command shows, by how the command begins. The text of a command is asked for until it does. */
const CLAIMS: readonly (readonly [beginning: string, shows: RegExp])[] = [
  ['tributary-coordinator serve', /"msg":"serving"/],
  ['tributary author list', /^admin +\S{43}=$/m],
  ['tributary-agent dataset describe', /relapse/],
  ['tributary-agent join --config north', /Joined as site north/],
  ['tributary get sites', /^north +True[^]*^south +True/m],
  ['tributary-agent dataset check', /relapse/],
  ['tributary-agent train --offline', /auc/],
  ['tributary wait fj/patients', /./],
  ['tributary get fj', /patients .*Completed?/],
  ['tributary describe fj/patients', /job\.completed/],
  ['tributary models export patients', /patients@1 exported to model/],
  ['tributary-agent status', /Sent: +[1-9]\d* bytes of updates/],
  ['tributary rollout set patients@1', /modelrollout\/patients created/],
  ['tributary get rollouts', /^patients/m],
  ['tributary-agent predict', /0\.\d+/],
  ['/usr/sbin/mosquitto', /mosquitto version .* running|Opening ipv4 listen socket/],
];

/** Where the pipeline is there, the second time that the status is asked for. */
const PIPELINE_RUNS = /patients +Running +patients@1/;

/** A half of the Rotterdam tumour bank, without what is known only after the outcome. */
async function writeTable(file: string, half: number): Promise<void> {
  const [header = '', ...rows] = (await readFile(join(repositoryRoot, 'test/data/rotterdam.csv'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => line.split(','));
  const kept = ['age', 'grade', 'nodes', 'pgr', 'er', 'recur'];
  const columns = kept.map((name) => header.indexOf(name));
  const lines = rows
    .filter((_, index) => index % 2 === half)
    .map((cells) => columns.map((column) => cells[column]).join(','));
  const title = kept.map((name) => (name === 'recur' ? 'relapse' : name)).join(',');
  await writeFile(file, `${[title, ...lines].join('\n')}\n`);
}

describe(`the newcomer's path of README.md${available ? '' : ' (needs mosquitto and mosquitto-clients)'}`, function () {
  this.timeout(600_000);
  let home: TemporaryDirectory;
  let env: Readonly<Record<string, string>>;
  let terminal: Terminal;
  const left = new Map<string, Terminal>();

  before(async function () {
    if (!available) return this.skip();
    for (const port of PORTS)
      assert.equal(
        await canConnect(port),
        false,
        `port ${String(port)} of the README is taken on this machine`,
      );
    home = await temporaryDirectory();
    const PATH = process.env['PATH'] ?? '';
    env = { HOME: home.path, PATH, TERM: 'dumb', LANG: 'C.UTF-8' };
    terminal = new Terminal(repositoryRoot, env);
  });

  after(async () => {
    await Promise.all([...left.values()].reverse().map((one) => one.close()));
    await terminal?.close();
    await home?.remove();
  });

  const federation = (): string => join(home.path, 'federation');
  let publicKey = '';

  async function putFile(name: string, text: string, append: boolean): Promise<void> {
    const places = dirname(name) === '.' ? ['north', 'south'].map((site) => `${site}/${name}`) : [name];
    for (const place of places) {
      const content = text.replace('PUBLIC KEY OF THE AUTHOR', publicKey);
      await (append ? appendFile : writeFile)(join(federation(), place), content);
    }
    if (basename(name) !== 'policy.yaml') return;
    await writeTable(join(federation(), 'north/patients.csv'), 0);
    await writeTable(join(federation(), 'south/patients.csv'), 1);
  }

  /** Another terminal: a shell with the exports of the first, and the process in it. */
  async function leave(line: string): Promise<void> {
    const command = line.replace(/\s+#.*/, '');
    await left.get(command)?.close();
    const other = new Terminal(federation(), {
      ...env,
      PATH: `${join(repositoryRoot, 'node_modules/.bin')}:${env['PATH'] ?? ''}`,
      TRIBUTARY_CONFIG: join(federation(), 'operator.yaml'),
    });
    left.set(command, other);
    other.leave(line);
    if (command.startsWith('mosquitto_sub')) await subscribed();
    const claim = CLAIMS.find(([beginning]) => line.startsWith(beginning))?.[1];
    if (claim !== undefined)
      await eventually(
        `${command} to show ${String(claim)}`,
        () => claim.test(other.shown) || undefined,
        60_000,
      );
  }

  /** The broker names clients that chose no name: the subscriber is there before anything is published. */
  async function subscribed(): Promise<void> {
    const broker = [...left].find(([command]) => command.startsWith('/usr/sbin/mosquitto'))?.[1];
    await eventually('the subscriber to connect', () => broker?.shown.includes(' as auto-') || undefined);
  }

  /** Runs a line, again where it does not show yet what the README says. */
  function runUntil(line: string, claim: RegExp): Promise<Answer> {
    let last = '';
    return eventually(
      `${line} to show ${String(claim)}`,
      async () => {
        const answer = await terminal.run(line);
        last = answer.text;
        return answer.code === 0 && claim.test(answer.text) ? answer : undefined;
      },
      120_000,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}; it showed:\n${last.slice(-2_000)}`);
    });
  }

  it('names only commands and options that exist', () => {
    const spans = [...README.matchAll(/`(tributary[a-z-]* [^`\n]*)`/g)].map(([, span = '']) => span);
    assert.ok(spans.length > 10);
    assert.deepEqual(
      spans
        .filter((span) => !span.includes(', '))
        .map(commandFault)
        .filter((fault) => fault !== undefined),
      [],
    );
  });

  it('has every command of which a claim is checked', () => {
    for (const [beginning] of CLAIMS)
      assert.ok(
        STEPS.some((step) => step.kind === 'command' && step.line.startsWith(beginning)),
        `the README no longer has: ${beginning}`,
      );
  });

  let statusAsked = 0;
  for (const step of STEPS) {
    if (step.kind === 'file') it(`file ${step.name}`, () => putFile(step.name, step.text, step.append));
    else if (step.line === 'npm ci && npm run build')
      it('is installed and built', () => {
        assert.ok(existsSync(join(repositoryRoot, 'node_modules/.bin/tributary')));
      });
    else if (step.stays) it(step.line, () => leave(step.line));
    else
      it(step.line, async () => {
        const claim = CLAIMS.find(([beginning]) => step.line.startsWith(beginning))?.[1] ?? /^/;
        const isStatus = step.line.startsWith('tributary-agent status');
        if (isStatus) statusAsked += 1;
        const { text } = await runUntil(step.line, isStatus && statusAsked > 1 ? PIPELINE_RUNS : claim);
        if (step.line.startsWith('tributary author list'))
          publicKey = /^admin +(\S+)$/m.exec(text)?.[1] ?? '';
      });
  }

  it('ends with the answer of the model to the message', async () => {
    const subscriber = [...left].find(([command]) => command.startsWith('mosquitto_sub'))?.[1];
    const shown = await eventually('the answer', () =>
      subscriber?.shown.includes('}') === true ? subscriber.shown : undefined,
    );
    const answer = JSON.parse(shown) as Record<string, unknown>;
    assert.deepEqual([answer['model'], answer['version'], answer['key']], ['patients', 1, '4711']);
    assert.match(String(answer['decisionId']), /^[0-9a-f]{32}$/);
    const [chance = NaN] = Object.values(answer['outputs'] as Record<string, number>);
    assert.ok(chance > 0 && chance < 1, shown);
  });
});
