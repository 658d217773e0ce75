import type { ErrorCode } from '../error-table.js';
import type { ErrorGuidance } from '../error-guidance.js';

/** Codes 85 to 88: the audit trail. */
export const AUDIT_GUIDANCE = {
  LEDGER_FORKED: {
    causes: [
      'The coordinator was restored from a backup and went on from there: what it had recorded meanwhile is gone.',
      'Somebody shows different sites different histories, or changed entries after they were signed.',
    ],
    steps: [
      'Look at the evidence, two heads that one key signed: `tributary-agent log forks`.',
      'Ask the operator of the coordinator for an export, and compare it with the head of the site: `tributary audit verify --file ledger.ndjson --head head.json`.',
      'Go on only when it is explained: with the history of before where the coordinator has it again, `tributary-agent log resolve --keep`; with the one that it shows now, `tributary-agent log resolve --accept`.',
    ],
  },
  LEDGER_SHORTENED: {
    causes: [
      'The coordinator was restored from a backup that is older than the newest head which this site has seen.',
      'Entries at the end of the ledger were cut off.',
    ],
    steps: [
      'Restore the newest backup of the coordinator: agents go on by themselves with `tributary-agent log resolve --keep`.',
      'Where there is no newer one, the rounds since then are lost; accept it at every site: `tributary-agent log resolve --accept`.',
    ],
  },
  EXPORT_CORRUPT: {
    causes: [
      'The file was cut short, edited, or damaged on its way.',
      'The export has not ended yet, or was interrupted.',
    ],
    steps: [
      'Compare the SHA-256 of the file with that of its sender, and fetch it again.',
      'Run the same `tributary audit export` again: it goes on where it was interrupted.',
    ],
  },
  WITNESSES_TOO_FEW: {
    causes: [
      'Sites are offline, or their agents are older than wire version 1.3: they sign no heads.',
      'With `--root`, only sites of the newest roster count.',
    ],
    steps: [
      'See who has signed, and up to which entry: `tributary audit verify -o json`.',
      'Bring the sites back and export again: agents sign the newest head within seconds.',
    ],
  },
} as const satisfies Partial<Record<ErrorCode, ErrorGuidance>>;
