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

const entry = (
  grpc: GrpcStatusName,
  http: number,
  exit: number,
  retryable: boolean,
  documentation: string,
): ErrorEntry => ({ grpc, http, exit, retryable, documentation });

/** Every code that Tributary shows to the outside. Codes are never reused or renamed. */
export const ERROR_TABLE = {
  // 10-19: what was asked is wrong.
  USAGE: entry(
    'INVALID_ARGUMENT',
    400,
    10,
    false,
    'The command line is wrong; the message names the option. See --help.',
  ),
  INVALID_ARGUMENT: entry(
    'INVALID_ARGUMENT',
    400,
    11,
    false,
    'A field of the message is missing, too long or of the wrong form; the message names it.',
  ),
  DOCUMENT_INVALID: entry(
    'INVALID_ARGUMENT',
    400,
    12,
    false,
    'The document does not match its schema; the message gives the path and the fix.',
  ),
  DOCUMENT_UNSUPPORTED: entry(
    'UNIMPLEMENTED',
    501,
    13,
    false,
    'The document asks for a part that this version does not serve yet; the message names it.',
  ),
  IMMUTABLE_FIELD: entry(
    'FAILED_PRECONDITION',
    409,
    14,
    false,
    'The field may not change after apply; submit the document under another name.',
  ),
  NOT_FOUND: entry(
    'NOT_FOUND',
    404,
    15,
    false,
    'No object of that kind and name exists; list what exists with `tributary get`.',
  ),
  ALREADY_EXISTS: entry('ALREADY_EXISTS', 409, 16, false, 'Something else exists under that name or id.'),
  CONFLICT: entry(
    'FAILED_PRECONDITION',
    409,
    17,
    false,
    'The object is not in a state that allows this; `tributary describe` shows its state.',
  ),
  CONFIG_INVALID: entry(
    'INVALID_ARGUMENT',
    400,
    18,
    false,
    'The configuration file or variable is wrong; the message names it and gives the fix.',
  ),
  // 20-29: who asked.
  UNAUTHENTICATED: entry(
    'UNAUTHENTICATED',
    401,
    20,
    false,
    'No valid certificate was presented; join again or use a context of this federation.',
  ),
  PERMISSION_DENIED: entry(
    'PERMISSION_DENIED',
    403,
    21,
    false,
    'The role of this context may not do that; ask an administrator of the federation.',
  ),
  TOKEN_INVALID: entry(
    'PERMISSION_DENIED',
    403,
    22,
    false,
    'The join token is unknown or malformed; ask for a new one (`tributary invite`).',
  ),
  TOKEN_EXPIRED: entry(
    'PERMISSION_DENIED',
    403,
    23,
    false,
    'The join token has expired; ask for a new one (`tributary invite`).',
  ),
  TOKEN_USED: entry(
    'PERMISSION_DENIED',
    403,
    24,
    false,
    'The join token was used by another key: if that was not you, tell the operator at once.',
  ),
  AGENT_REVOKED: entry(
    'PERMISSION_DENIED',
    403,
    25,
    false,
    'The agent was revoked; the operator must invite the site again.',
  ),
  AGENT_NOT_APPROVED: entry(
    'PERMISSION_DENIED',
    403,
    26,
    true,
    'The site has joined but is not approved yet; the operator runs `tributary approve`.',
  ),
  AGENT_FENCED: entry(
    'ABORTED',
    409,
    27,
    false,
    'A newer process of the same agent is connected: a twin, or state restored from a backup.',
  ),
  SIGNATURE_INVALID: entry(
    'PERMISSION_DENIED',
    403,
    28,
    false,
    'A signature does not match its content and key; nothing was taken over.',
  ),
  CA_MISMATCH: entry(
    'UNAUTHENTICATED',
    401,
    29,
    false,
    'The server does not hold the CA that the join token names: wrong address, or somebody in between.',
  ),
  // 30-39: an update was refused.
  UPDATE_NOT_FINITE: entry(
    'INVALID_ARGUMENT',
    400,
    30,
    false,
    'The update holds NaN or an infinity; lower the learning rate or clip gradients.',
  ),
  UPDATE_OUT_OF_RANGE: entry(
    'OUT_OF_RANGE',
    400,
    31,
    false,
    'A value of the update is larger than the clipping norm allows.',
  ),
  UPDATE_WRONG_SHAPE: entry(
    'INVALID_ARGUMENT',
    400,
    32,
    false,
    'The update has another length or layout than the model of the round.',
  ),
  UPDATE_WRONG_ROUND: entry(
    'FAILED_PRECONDITION',
    409,
    33,
    false,
    'The update is for a round, base model or log that is not the open one.',
  ),
  UPDATE_DUPLICATE: entry(
    'ALREADY_EXISTS',
    409,
    34,
    false,
    'The site has already sent another update for this round.',
  ),
  UPDATE_TOO_LARGE: entry(
    'RESOURCE_EXHAUSTED',
    413,
    35,
    false,
    'The upload is larger than its header announced or the limits allow.',
  ),
  UPDATE_CORRUPT: entry(
    'DATA_LOSS',
    400,
    36,
    false,
    'A chunk or the seal of the upload does not verify; the agent uploads again.',
  ),
  UPDATE_LATE: entry(
    'FAILED_PRECONDITION',
    409,
    37,
    false,
    'The stage closed before the update was complete.',
  ),
  NOT_IN_COHORT: entry('PERMISSION_DENIED', 403, 38, false, 'The site is not in the cohort of this round.'),
  UPLOAD_ID_REUSED: entry(
    'ALREADY_EXISTS',
    409,
    39,
    false,
    'The upload id was used with another header; a new plaintext needs a new id.',
  ),
  // 40-49: the site said no.
  POLICY_MISSING: entry(
    'FAILED_PRECONDITION',
    403,
    40,
    false,
    'The site has no policy file and therefore refuses every job.',
  ),
  POLICY_REFUSED: entry(
    'PERMISSION_DENIED',
    403,
    41,
    false,
    "The site's policy does not allow this job; the message names the rule.",
  ),
  DATASET_UNKNOWN: entry('NOT_FOUND', 404, 42, false, 'The site declares no dataset of that name.'),
  DATASET_INVALID: entry(
    'FAILED_PRECONDITION',
    422,
    43,
    false,
    'The dataset cannot be read as declared; the message gives line and column, never a value.',
  ),
  DATASET_TOO_SMALL: entry(
    'FAILED_PRECONDITION',
    422,
    44,
    false,
    'The dataset has fewer rows than policy or job demand.',
  ),
  TRAINING_FAILED: entry(
    'INTERNAL',
    500,
    45,
    true,
    'Local training stopped with an error; the log of the agent has the cause.',
  ),
  TRAINING_DIVERGED: entry(
    'FAILED_PRECONDITION',
    422,
    46,
    false,
    'The loss became NaN or infinite; lower the learning rate.',
  ),
  PROOF_INVALID: entry(
    'DATA_LOSS',
    502,
    47,
    false,
    'An order named a ledger entry that its proof does not support; the agent refuses it.',
  ),
  AUTHOR_UNKNOWN: entry(
    'PERMISSION_DENIED',
    403,
    48,
    false,
    "The job's author is not among those that the site's policy names.",
  ),
  // 50-59: rounds and jobs.
  ROUND_UNDERSUBSCRIBED: entry(
    'FAILED_PRECONDITION',
    409,
    50,
    true,
    'Fewer sites reported before the deadline than the job demands; the round is tried again.',
  ),
  JOB_DEADLINE: entry(
    'DEADLINE_EXCEEDED',
    504,
    51,
    false,
    'The job ran longer than its activeDeadlineSeconds.',
  ),
  JOB_CANCELLED: entry('CANCELLED', 409, 52, false, 'The job was cancelled.'),
  JOB_RETRIES_EXHAUSTED: entry(
    'ABORTED',
    409,
    53,
    false,
    'A round failed more often than the job tolerates; `tributary describe` shows why each time.',
  ),
  // 60-69: limits and versions.
  LIMIT_EXCEEDED: entry(
    'RESOURCE_EXHAUSTED',
    413,
    60,
    false,
    'A size or count is over its limit; the message names the limit.',
  ),
  OVERLOADED: entry(
    'RESOURCE_EXHAUSTED',
    429,
    61,
    true,
    'Too many requests at once; the caller waits and tries again.',
  ),
  VERSION_UNSUPPORTED: entry(
    'UNIMPLEMENTED',
    505,
    62,
    false,
    'The two sides share no wire version; upgrade the older one.',
  ),
  FORMAT_UNSUPPORTED: entry(
    'FAILED_PRECONDITION',
    500,
    63,
    false,
    'The data was written by a newer version; start that version, or restore a backup.',
  ),
  // 70-79: the machine and the network.
  UNAVAILABLE: entry('UNAVAILABLE', 503, 70, true, 'The other side cannot be reached; it is tried again.'),
  DEADLINE_EXCEEDED: entry('DEADLINE_EXCEEDED', 504, 71, true, 'The other side did not answer in time.'),
  STORE_CORRUPT: entry(
    'DATA_LOSS',
    500,
    72,
    false,
    'A stored file or entry does not match its digest; restore it from a backup.',
  ),
  STORE_LOCKED: entry(
    'FAILED_PRECONDITION',
    409,
    73,
    false,
    'Another process owns the directory; stop it, or talk to it.',
  ),
  STORE_FULL: entry(
    'RESOURCE_EXHAUSTED',
    507,
    74,
    true,
    'The disk is full; free space and the work goes on.',
  ),
  SEAL_BROKEN: entry(
    'DATA_LOSS',
    500,
    75,
    false,
    'A sealed file does not open with this sealing key: wrong key file, or altered content.',
  ),
  SHUTTING_DOWN: entry('UNAVAILABLE', 503, 76, true, 'The daemon is shutting down.'),
  INTERNAL: entry(
    'INTERNAL',
    500,
    99,
    false,
    'An error that should not happen; please report it with the log line.',
  ),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERROR_TABLE;

export const ERROR_CODES = Object.freeze(Object.keys(ERROR_TABLE)) as readonly ErrorCode[];

/** True for a code of the table; use it on codes that arrive from outside. */
export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_TABLE, code);
}
