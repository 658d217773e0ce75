import type { ErrorGuidance } from '../error-guidance.js';

/** Codes 10 to 19: what was asked is wrong. */
export const REQUEST_GUIDANCE = {
  USAGE: {
    causes: [
      'An option or argument is misspelt, missing, or of another command.',
      'An object was named without its kind: it is `fj/loans` or `fj loans`, not `loans`.',
      'A file named on the command line does not exist or may not be read.',
    ],
    steps: [
      'Read the message: it names the word. `--help` after the command lists what it takes.',
      'Let the shell help: `source <(tributary completion bash)`, then press Tab (`zsh` and `fish` too).',
    ],
  },
  INVALID_ARGUMENT: {
    causes: [
      'A request to the local endpoint has a tensor of the wrong shape or type, or lacks a column.',
      'A name holds something else than a-z, 0-9, - and dots, or is longer than 63 characters.',
      'A program speaks to the services without our client and fills a field wrongly.',
    ],
    steps: [
      'The message begins with the path of the field: correct that one.',
      'For predictions, compare the columns with `features.json` of `tributary models export`.',
      'If our own commands caused it, look whether both sides have the same version (`tributary version`).',
    ],
  },
  DOCUMENT_INVALID: {
    causes: [
      'A field of the YAML is misspelt, at the wrong depth, or of another type (`"3"` is no number).',
      'Two fields do not fit together: a metric and the task, the last layer and the number of classes.',
      'The file is no YAML: tabs, an unclosed quotation mark, the same key twice, an alias.',
    ],
    steps: [
      'The message gives file, path and fix, for example `job.yaml: spec.rounds: …`.',
      'Look the field up in DOCUMENTS.md: type, range and default of each.',
      'Check without changing anything: `tributary apply -f job.yaml --dry-run`.',
    ],
  },
  DOCUMENT_UNSUPPORTED: {
    causes: [
      'The job asks for a strategy, an encoding or a protection that this version refuses by name.',
      'A document is applied to the wrong place: policies and pipelines belong to the agents of the sites.',
      'An export asks ONNX for a layer that our ONNX export does not write.',
    ],
    steps: [
      'Remove the part that the message names, or upgrade coordinator and agents to a version that serves it.',
      'Do not work around a refused protection: what the document would promise, nobody would keep.',
    ],
  },
  IMMUTABLE_FIELD: {
    causes: [
      'A job that exists was applied again with another model, dataset or training. Only `suspend`, `activeDeadlineSeconds` and `ttlSecondsAfterFinished` may change.',
    ],
    steps: [
      'Give the new job another `metadata.name` and apply it; both stay in the ledger.',
      'Or delete the old one first: `tributary delete fj/NAME`.',
    ],
  },
  NOT_FOUND: {
    causes: [
      'The name is misspelt, or the context is that of another federation.',
      'The job was deleted, by hand or by its `ttlSecondsAfterFinished`.',
      'A rollback asks for a version that this site has never had.',
    ],
    steps: [
      'List what is there: `tributary get fj`, `get sites`, `get models`, `get rollouts`.',
      'See which federation answers: `tributary context list`; choose with `--context NAME`.',
    ],
  },
  ALREADY_EXISTS: {
    causes: [
      'Another author has a job of this name, or a context or author of this name has another key.',
      '`init`, `restore` or an export was pointed at a folder that is not empty.',
      'A data directory that has joined as one site is used to join as another.',
    ],
    steps: [
      'Choose another name or an empty folder.',
      'If the thing that exists is a leftover, remove it on purpose: `tributary delete fj/NAME`, `tributary context revoke NAME`.',
      'Never empty a coordinator’s or an agent’s data directory to get past this: its keys are gone with it.',
    ],
  },
  CONFLICT: {
    causes: [
      'A job that has ended is suspended, resumed or cancelled; a rollout that was undone is undone again.',
      'A site that has an agent is invited once more.',
      'Two operators did the same at the same time, and the other was first.',
      'An MQTT broker says that somebody else connects with the same client id.',
    ],
    steps: [
      'Look at the state: `tributary describe KIND/NAME`; its last lines are the ledger’s.',
      'To replace the agent of a site: `tributary revoke SITE`, then `tributary invite SITE`.',
      'For brokers, give each agent its own `brokers[].clientId`.',
    ],
  },
  CONFIG_INVALID: {
    causes: [
      'A field of agent.yaml or coordinator.json is unknown, misspelt or out of range.',
      'A file that it names is missing, or a key file may be read by other users of the machine.',
      'No context is set: `TRIBUTARY_CONFIG` points elsewhere, or `init` was run by another user.',
      'A variable of the environment overrides the file; options win over variables, variables over files.',
    ],
    steps: [
      'The message names option, variable or field, and the file. Correct it and start again.',
      'For key files: `chmod 600 FILE`, and let the user of the daemon own it.',
      'Under systemd, look at the environment too: `systemctl show UNIT -p Environment -p EnvironmentFiles`.',
      'The tables of all fields are in coordinator/README.md and edge-agent/README.md.',
    ],
  },
} as const satisfies Record<string, ErrorGuidance>;
