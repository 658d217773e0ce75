import type { ErrorGuidance } from '../error-guidance.js';

/** Codes 60 to 99: limits and versions, the machine and the network, Tributary itself. */
export const MACHINE_GUIDANCE = {
  LIMIT_EXCEEDED: {
    causes: [
      'A model, a table, a request or a list is larger than is served; the limits are fixed, with a reason each (proto/src/limits.ts).',
      'A training step would take more memory than is safe.',
      'An MQTT broker takes smaller packets than a result has.',
    ],
    steps: [
      'The message names the limit and its value: make the thing smaller, or split it.',
      'For memory: a smaller `batchSize`, fewer units; for predictions: at most 4,096 rows a request.',
      'For lists of objects, watch them instead: `tributary get fj -w`.',
    ],
  },
  OVERLOADED: {
    causes: [
      'Predictions are asked for faster than the model answers, and the queue is full.',
      'Hundreds of agents come back at the same moment after an outage.',
      'A terminal reads a watch or a log more slowly than it grows.',
    ],
    steps: [
      'Wait and try again, with a pause that grows; agents and pipelines do so by themselves.',
      'For predictions send rows together: a request of 256 costs little more than one of 1. Add a replica where that is not enough.',
      'Look at `/metrics` of the daemon that says it.',
    ],
  },
  VERSION_UNSUPPORTED: {
    causes: ['Agent, coordinator or command are more than one minor wire version apart.'],
    steps: [
      'See both: `tributary version` on the operator’s side, `tributary-agent --version` at the site.',
      'Upgrade the older side. With a fleet: the coordinator first, it serves the previous version too.',
    ],
  },
  FORMAT_UNSUPPORTED: {
    causes: [
      'An older version was started on data that a newer one has written: a downgrade, or an old image.',
      'A backup, a model or a context file comes from a newer version.',
    ],
    steps: [
      'Start the newer version again: nothing was changed by the attempt.',
      'If it must be the older one, restore a backup that it wrote. Do not edit `formatVersion`.',
    ],
  },
  UNAVAILABLE: {
    causes: [
      'The daemon is not running, or listens on another port or address.',
      'A firewall, a proxy or a name that does not resolve stands in between.',
      'The machine on the other side restarts, and it will pass.',
    ],
    steps: [
      'Is it alive? `systemctl status tributary-coordinator`; its ports are in `run/addresses.json` of the data directory.',
      'Can it be reached? `openssl s_client -connect HOST:7443` from the site; through a proxy, set `proxy.url` in agent.yaml.',
      'An agent needs no help: it dials again every 0.5 to 5 seconds and loses nothing. Fix the network, and wait.',
    ],
  },
  DEADLINE_EXCEEDED: {
    causes: [
      '`tributary wait` gave up after its `--timeout` while the job went on.',
      'The line is so slow that nothing moved for a minute, or a proxy holds idle connections without passing bytes.',
      'The other side is alive and busy: a disk that hangs, a machine that swaps.',
    ],
    steps: [
      'After `wait`: `tributary describe KIND/NAME` shows what it waits for; wait again with a longer `--timeout`.',
      'Otherwise repeat it: transfers go on from where they were.',
      'Where it repeats, look at disk and memory of the other side, and at idle timeouts of proxies in between.',
    ],
  },
  STORE_CORRUPT: {
    causes: [
      'The disk fails or was full at a bad moment, or the file system lost what it had called written.',
      'Somebody edited, copied or removed files of a data directory while the daemon was running.',
    ],
    steps: [
      'Stop the daemon and keep a copy of the directory as it is. Do not delete single files.',
      'Check the disk: `dmesg | grep -i error`, `smartctl -a`.',
      'Coordinator: `tributary-coordinator restore --from hub.tar` into an empty directory, with the sealing key; then the agents may have to join again.',
      'Agent: revoke the site, invite it and join from an empty directory; the table and the policy are untouched.',
    ],
  },
  STORE_LOCKED: {
    causes: [
      'The daemon is already running on this directory, perhaps under systemd while you start it by hand.',
      'A second container or machine has mounted the same volume.',
    ],
    steps: [
      'Find it: `systemctl status "tributary*"`, `fuser -v DATA/state/LOCK DATA/ledger/LOCK`.',
      'Talk to it instead: `tributary-agent status`; `tributary-coordinator backup` works while the daemon runs.',
      'A process that was killed leaves no lock. Never delete LOCK files.',
    ],
  },
  STORE_FULL: {
    causes: [
      'The volume of the data directory is full: models and spools of the coordinator, predictions or logs of others.',
      'A quota, or no inodes left.',
    ],
    steps: [
      '`df -h DATA; df -i DATA; du -sh DATA/*` shows what fills it.',
      'Free space beside the data directory or enlarge the volume; do not delete inside it, except by our commands.',
      'Nothing acknowledged was lost: the work goes on by itself, and a daemon that has ended can be started again.',
    ],
  },
  SEAL_BROKEN: {
    causes: [
      'The sealing key is not the one with which the data was sealed: a new key after a restore, the key of another machine.',
      '`sealKeyFile` or its variable points to another file than before, or the file is gone.',
      'A sealed file was altered, renamed or swapped.',
    ],
    steps: [
      'Find the key that belongs to the data: `seal.key` in the directory, or what `--seal-key-file`, `sealKeyFile` or LoadCredential named.',
      'Put it back unchanged (32 bytes, or their base64) and start again.',
      'If the key is lost, so is everything under it: an agent joins anew; a coordinator needs a backup and the key of that backup.',
    ],
  },
  SHUTTING_DOWN: {
    causes: [
      'The daemon was told to stop, or a second signal ended it at once.',
      'A request arrived while it was leaving.',
    ],
    steps: [
      'Repeat the request when it is back; agents do so by themselves.',
      'If nobody told it to stop, ask the supervisor: `journalctl -u tributary-coordinator -n 50`.',
    ],
  },
  INTERNAL: {
    causes: ['A fault of Tributary, or something of the machine that we did not foresee.'],
    steps: [
      'The log of the daemon has the line with its stack: `journalctl -u UNIT -p err -n 20`.',
      'Restart it: both daemons begin from what is durable.',
      'Report it with that line, the versions (`tributary version`), and what was done. Log lines hold no records and no keys.',
    ],
  },
} as const satisfies Record<string, ErrorGuidance>;
