/** gRPC status names used by the table (https://grpc.io/docs/guides/status-codes/). */
export type GrpcStatusName =
  | 'INVALID_ARGUMENT'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'PERMISSION_DENIED'
  | 'RESOURCE_EXHAUSTED'
  | 'FAILED_PRECONDITION'
  | 'ABORTED'
  | 'OUT_OF_RANGE'
  | 'UNIMPLEMENTED'
  | 'INTERNAL'
  | 'UNAVAILABLE'
  | 'DATA_LOSS'
  | 'UNAUTHENTICATED'
  | 'DEADLINE_EXCEEDED'
  | 'CANCELLED';

export interface ErrorEntry {
  readonly grpc: GrpcStatusName;
  readonly http: number;
  /** Process exit code of the commands, 2 to 99; each group of ten is one kind of cause. */
  readonly exit: number;
  readonly retryable: boolean;
  /** One sentence: what happened and what to do. The documentation page is generated from it. */
  readonly documentation: string;
}

/** A row of the table. */
export const entry = (
  grpc: GrpcStatusName,
  http: number,
  exit: number,
  retryable: boolean,
  documentation: string,
): ErrorEntry => ({ grpc, http, exit, retryable, documentation });
