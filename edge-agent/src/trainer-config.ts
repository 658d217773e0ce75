import { z } from 'zod';

const path = z.string().min(1);

/** Backends by their names in agent.yaml. */
export const BACKEND_CHOICES = ['Auto', 'NativeGpu', 'NativeCpu', 'WebGpu', 'Wasm', 'Cpu'] as const;

export type BackendChoiceName = (typeof BACKEND_CHOICES)[number];

/** `trainer` of agent.yaml. */
export const trainerFile = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('Tfjs'),
    backend: z.enum(BACKEND_CHOICES).optional(),
    nativeGpuPackage: path.optional(),
    nativeCpuPackage: path.optional(),
  }),
  z.strictObject({
    type: z.literal('Socket'),
    path,
    command: z.array(z.string().min(1)).min(1).max(256).optional(),
  }),
]);

export interface TfjsTrainerConfig {
  readonly type: 'Tfjs';
  /** The first backend that is tried; what it cannot serve goes to the next of the order. */
  readonly backend: BackendChoiceName;
  /** Absolute folders of native packages that are not installed beside the agent. */
  readonly nativeGpuPackage?: string;
  readonly nativeCpuPackage?: string;
  /** What the libraries of a native binding are found by. */
  readonly environment: Readonly<Record<string, string>>;
}

/** A trainer in a process of its own, in whatever language. */
export interface SocketTrainerConfig {
  readonly type: 'Socket';
  /** Absolute path of the Unix socket on which it listens. */
  readonly path: string;
  /** Program and arguments with which the agent starts it; without them something else does. */
  readonly command?: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

export type TrainerConfig = TfjsTrainerConfig | SocketTrainerConfig;

/** Variables that a trainer's process inherits: none of ours, which may name secrets. */
const INHERITED = /^(PATH|HOME|TMPDIR|LANG|LD_LIBRARY_PATH|(CUDA|NVIDIA|TF|XLA|VK)_[A-Z0-9_]+)$/;

/** The trainer that agent.yaml asks for; `at` makes a path of the file absolute. */
export function trainerConfigOf(
  given: z.infer<typeof trainerFile> | undefined,
  env: Readonly<Record<string, string | undefined>>,
  at: (path: string) => string,
): TrainerConfig {
  const environment = Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      value !== undefined && INHERITED.test(name) ? [[name, value] as const] : [],
    ),
  );
  if (given?.type === 'Socket') {
    const { type, command } = given;
    return { type, path: at(given.path), environment, ...(command && { command }) };
  }
  return {
    type: 'Tfjs',
    backend: given?.backend ?? 'Auto',
    environment,
    ...(given?.nativeGpuPackage !== undefined && { nativeGpuPackage: at(given.nativeGpuPackage) }),
    ...(given?.nativeCpuPackage !== undefined && { nativeCpuPackage: at(given.nativeCpuPackage) }),
  };
}
