import { BACKENDS, ISOLATED, PORTABLE, type BackendName } from './backend.js';
import { nativeFault, type NativePackages } from './native-backend.js';
import { tryInProcess, type ProbeOptions } from './probe-process.js';
import { tryBackend, type StepMemory, type TrialModel } from './trial.js';
import { webGpuFault } from './webgpu-backend.js';

/** Why a backend cannot train a model, in our own words. */
export interface Refusal {
  readonly backend: BackendName;
  readonly reason: string;
  /** Its packages are not there at all: nothing is wrong, and nobody need be warned. */
  readonly absent: boolean;
}

export interface Choice {
  /** Undefined where no backend can. */
  readonly backend: BackendName | undefined;
  readonly memory: StepMemory;
  /** Backends tried before, and what was wrong with them. */
  readonly refused: readonly Refusal[];
}

export interface ProbeSettings extends ProbeOptions {
  readonly packages?: NativePackages | undefined;
}

/** Starts the first backend of `candidates` that can train the model; see {@link tryBackend}. */
export async function chooseBackend(
  model: TrialModel,
  candidates: readonly BackendName[] = PORTABLE,
  settings: ProbeSettings = {},
): Promise<Choice> {
  const refused: Refusal[] = [];
  for (const backend of candidates) {
    const absence = absenceOf(backend, settings.packages ?? {});
    if (absence !== undefined) {
      refused.push({ backend, reason: absence, absent: true });
      continue;
    }
    const trial = await tryCarefully(backend, model, settings);
    if (trial.fault === undefined) return { backend, memory: trial.memory, refused };
    refused.push({ backend, reason: trial.fault, absent: false });
  }
  return { backend: undefined, memory: { fixed: 0, perRow: 0 }, refused };
}

/** The backends from `first` on, in the order in which they are tried. */
export const candidatesFrom = (first: BackendName): readonly BackendName[] =>
  BACKENDS.slice(BACKENDS.indexOf(first));

function absenceOf(backend: BackendName, packages: NativePackages): string | undefined {
  switch (backend) {
    case 'native-gpu':
    case 'native-cpu':
      return nativeFault(backend, packages);
    case 'webgpu':
      return webGpuFault();
    default:
      return undefined;
  }
}

/** What may end a process is tried in one that may end, and here only after it has survived there. */
async function tryCarefully(backend: BackendName, model: TrialModel, settings: ProbeSettings) {
  if (ISOLATED.has(backend)) {
    const fault = await tryInProcess({ backend, model, packages: settings.packages ?? {} }, settings);
    if (fault !== undefined) return { fault };
  }
  return tryBackend(backend, model, settings.packages);
}
