import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Entry } from './entries.js';

const HOME = 'opt/tributary';
export const IMAGES = ['coordinator', 'agent'] as const;
export type ImageName = (typeof IMAGES)[number];

/** What one image holds and how it starts; the Containerfiles say the same. */
export interface Recipe {
  readonly title: string;
  readonly description: string;
  readonly workspaces: readonly string[];
  /** Commands on the path, by their file. */
  readonly commands: Readonly<Record<string, string>>;
  /** Folders and files beside the built sources. */
  readonly extras: readonly string[];
  readonly ports: readonly number[];
  readonly entrypoint: readonly string[];
  readonly arguments: readonly string[];
}

export const RECIPES: Readonly<Record<ImageName, Recipe>> = {
  coordinator: {
    title: 'Tributary coordinator',
    description: 'The coordinator of a federation, and the command `tributary`.',
    workspaces: ['proto', 'coordinator'],
    commands: {
      tributary: 'coordinator/bin/tributary.js',
      'tributary-coordinator': 'coordinator/bin/tributary-coordinator.js',
    },
    extras: ['proto/tributary', 'deploy/charts'],
    ports: [7443, 7444, 7445, 7446, 7447, 7448],
    entrypoint: ['tributary-coordinator'],
    arguments: ['serve', '--data', '/var/lib/tributary/hub'],
  },
  agent: {
    title: 'Tributary agent',
    description: 'The agent of a site, on processors.',
    workspaces: ['proto', 'edge-agent'],
    commands: { 'tributary-agent': 'edge-agent/bin/tributary-agent.js' },
    extras: ['proto/tributary', 'edge-agent/oip'],
    ports: [7446, 7447],
    entrypoint: ['tributary-agent'],
    arguments: ['run', '--config', '/etc/tributary/agent/agent.yaml'],
  },
};

/** The product itself: what was built from the sources that are there, and nothing older. */
export async function productLayer(root: string, name: ImageName): Promise<readonly Entry[]> {
  const { workspaces, commands, extras } = RECIPES[name];
  const file = (path: string, executable = false): Entry => ({
    kind: 'file',
    path: `${HOME}/${path}`,
    content: join(root, path),
    executable,
  });
  const entries: Entry[] = [file('package.json'), file('LICENSE')];
  for (const workspace of workspaces) {
    const { name: packageName } = JSON.parse(
      await readFile(join(root, workspace, 'package.json'), 'utf8'),
    ) as { readonly name: string };
    entries.push(
      file(`${workspace}/package.json`),
      { kind: 'link', path: `${HOME}/node_modules/${packageName}`, target: `../../${workspace}` },
      ...(await built(root, workspace)).map((path) => file(path)),
    );
  }
  for (const [command, path] of Object.entries(commands)) {
    entries.push(file(path, true), {
      kind: 'link',
      path: `${HOME}/node_modules/.bin/${command}`,
      target: `../../${path}`,
    });
  }
  for (const extra of extras)
    for (const path of await filesOf(join(root, extra))) entries.push(file(`${extra}/${path}`));
  return entries;
}

async function filesOf(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}

/** Compiled files whose sources are there: a build leaves those of sources that are gone. */
async function built(root: string, workspace: string): Promise<readonly string[]> {
  const sources = (await filesOf(join(root, workspace, 'src'))).filter((path) => path.endsWith('.ts'));
  return sources.map((path) => {
    const compiled = `${workspace}/dist/${path.replace(/\.ts$/, '.js')}`;
    if (!existsSync(join(root, compiled)))
      throw new Error(`${compiled} was not built; run \`npm run build\``);
    return compiled;
  });
}
