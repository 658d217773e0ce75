import type { Entry } from './entries.js';
import { ELF_MACHINES, elfMachine, npmCpu, type Architecture } from './platforms.js';

/** Files below the repository's root by their path: packages, npm's hidden lock file and the workspaces' package.json. */
export type Installation = ReadonlyMap<string, Buffer>;

export const HIDDEN_LOCK = 'node_modules/.package-lock.json';

/** A package as npm's hidden lock file has it. */
interface LockedPackage {
  readonly version?: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly link?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

export interface NpmPackage {
  /** Below /opt/tributary: node_modules/... */
  readonly path: string;
  readonly name: string;
  readonly version: string;
  readonly integrity: string;
  readonly license: string;
  /** Paths of the packages that it finds when it asks for its dependencies. */
  readonly needs: readonly string[];
}

/**
 * What `workspaces` need of an installation, by path. Their own optional dependencies stay out: bindings for GPUs, which are
 * of no use without the script that downloads TensorFlow.
 */
export function dependenciesOf(
  installation: Installation,
  workspaces: readonly string[],
): readonly NpmPackage[] {
  const lock = jsonOf(installation, HIDDEN_LOCK) as {
    readonly packages: Readonly<Record<string, LockedPackage>>;
  };
  const found = new Map<string, NpmPackage>();
  const visit = (path: string): void => {
    const locked = lock.packages[path];
    if (locked === undefined || locked.link === true || found.has(path)) return;
    const { version = '', integrity = '', license = '' } = locked;
    const names = Object.keys({
      ...locked.dependencies,
      ...locked.optionalDependencies,
      ...locked.peerDependencies,
    });
    const needs = names.flatMap((name) => placeOf(lock.packages, path, name) ?? []).sort();
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    found.set(path, { path, name, version, integrity, license, needs });
    needs.forEach(visit);
  };
  for (const workspace of workspaces) {
    const { dependencies = {} } = jsonOf(installation, `${workspace}/package.json`) as LockedPackage;
    for (const name of Object.keys(dependencies)) {
      const place = placeOf(lock.packages, workspace, name);
      if (place === undefined) throw new Error(`${workspace}: ${name} was not installed`);
      visit(place);
    }
  }
  return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

function jsonOf(installation: Installation, path: string): unknown {
  const bytes = installation.get(path);
  if (bytes === undefined) throw new Error(`npm left no ${path}`);
  return JSON.parse(bytes.toString());
}

/** Where Node.js finds a package that one at `from` asks for. */
function placeOf(
  packages: Readonly<Record<string, LockedPackage>>,
  from: string,
  name: string,
): string | undefined {
  for (let base = from; base !== ''; base = base.slice(0, Math.max(0, base.lastIndexOf('/node_modules/')))) {
    const place = `${base}/node_modules/${name}`;
    if (packages[place] !== undefined) return place;
  }
  return packages[`node_modules/${name}`] === undefined ? undefined : `node_modules/${name}`;
}

/** Addons for other platforms, beside the one for this. */
const PREBUILT = /\/prebuilds\/([^/]+)\/[^/]+$/;
/** The package that a file belongs to. */
const PACKAGE = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/;

/** The files of these packages. Throws where a native file is for another processor. */
export function dependencyLayer(
  installation: Installation,
  packages: readonly NpmPackage[],
  architecture: Architecture,
): readonly Entry[] {
  const wanted = new Set(packages.map(({ path }) => path));
  const entries: Entry[] = [];
  for (const [path, content] of installation) {
    const prebuilt = PREBUILT.exec(path)?.[1];
    const other = prebuilt !== undefined && prebuilt !== `linux-${npmCpu(architecture)}`;
    if (!wanted.has(PACKAGE.exec(path)?.[0] ?? '') || other || path.endsWith('.musl.node')) continue;
    const machine = elfMachine(content.subarray(0, 20));
    if (machine !== undefined && machine !== ELF_MACHINES[architecture])
      throw new Error(`${path} is for ELF machine ${String(machine)}, not for ${architecture}`);
    entries.push({ kind: 'file', path: `opt/tributary/${path}`, content });
  }
  return entries;
}
