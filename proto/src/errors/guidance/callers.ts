import type { ErrorGuidance } from '../error-guidance.js';

/** Codes 20 to 29: who asked. */
export const CALLER_GUIDANCE = {
  UNAUTHENTICATED: {
    causes: [
      'The certificate has expired (agents renew theirs every few hours; it lasts a day) or is of another federation.',
      'The clock of this machine is wrong by more than five minutes.',
      'The coordinator was restored from a backup that is older than this agent or context.',
      'A middlebox ends TLS and does not pass the client certificate on.',
      'An MQTT broker refuses user name and password; a request to the local endpoint lacks its bearer token.',
    ],
    steps: [
      'Compare clocks: `timedatectl` on both machines.',
      'On an agent: `tributary-agent status` shows when its certificate expires; a running agent renews by itself.',
      'Where the agent was away for longer than its certificate lasts, restart it; where that does not help, revoke, invite and join again.',
      "On the side of operators: `tributary context list`, and a new one from an administrator (`tributary context create`); where nobody is one any more, `tributary-coordinator context NAME` on the coordinator's machine.",
    ],
  },
  PERMISSION_DENIED: {
    causes: [
      'The context has the role viewer, and the command changes something.',
      'An agent asks for a part of a round or a rollout that is not its own.',
      'An MQTT broker’s access list forbids the topic; a web page asks the local endpoint without a token.',
    ],
    steps: [
      'The message names the role that is needed: ask an administrator for a context with it.',
      'On the coordinator’s own machine the user of the daemon may use `run/admin.sock`, whose role is admin.',
      'For brokers, compare the access list with the topics of the pipeline.',
    ],
  },
  TOKEN_INVALID: {
    causes: [
      'The token was cut while copying: it is one line that begins with `trib1.`',
      'It is a token of another federation, or the coordinator was restored from a backup older than the invitation.',
    ],
    steps: [
      'Hand tokens over as files: `tributary invite north > token`, then `--token-file token`.',
      'Ask for a new one; the old one can be forgotten.',
    ],
  },
  TOKEN_EXPIRED: {
    causes: ['More time has passed since `tributary invite` than its `--ttl` (24 hours by default).'],
    steps: [
      'Invite again, with a longer `--ttl` where the way to the site is long: `tributary invite north --ttl 7d`, up to 30 days.',
    ],
  },
  TOKEN_USED: {
    causes: [
      'The agent’s data directory was deleted after it had joined, and the same token was used again.',
      'Somebody else joined with the token on its way to you.',
    ],
    steps: [
      'Ask at the site whether it has joined before. A repeated join from the same data directory is no error.',
      'If nobody knows of it, treat it as an attack: `tributary describe site/NAME` shows when it joined; `tributary revoke NAME`, then find out who saw the token.',
      'Otherwise: `tributary revoke NAME`, `tributary invite NAME`, and join with the new token.',
    ],
  },
  AGENT_REVOKED: {
    causes: [
      'An operator revoked the site: `tributary describe site/NAME` shows when and why.',
      'The site was replaced, and its old agent still runs.',
    ],
    steps: [
      'Do not restart it; the agent ends on purpose, and its supervisor should not bring it back.',
      'Ask the operator for the reason. To return: a new invitation, an empty data directory, `tributary-agent join`.',
    ],
  },
  AGENT_NOT_APPROVED: {
    causes: ['The site has joined and waits for the operator. Nothing is broken.'],
    steps: [
      'The operator compares the site with whom was invited, then runs `tributary approve NAME`.',
      'Leave the agent running: it goes on by itself. `tributary invite --approve` approves at the join.',
    ],
  },
  AGENT_FENCED: {
    causes: [
      'Two processes run on copies of one data directory: a cloned machine, a failover where the first still lives.',
      'The data directory was restored from a backup: its session number is older than what the coordinator has seen.',
    ],
    steps: [
      'Stop both. Find the copy that ran last; it may go on alone.',
      'After a restore, do not go on with the old state: revoke the site, invite it, join from an empty directory.',
      'Have the supervisor not restart on exit code 27; two twins that restart each other fence each other for ever.',
    ],
  },
  SIGNATURE_INVALID: {
    causes: [
      'Content was changed after it was signed: a document edited by a tool on the way, a damaged file.',
      'It was signed with another key than the one that is checked: an author’s key that was made anew.',
      'A challenge was answered too late (after a minute) or twice.',
    ],
    steps: [
      'Sign anew at the source: `tributary apply` signs what it sends, so apply the original file.',
      'Compare the author’s key: `tributary author list` here, `spec.authors` in the policy of the site.',
      'If nobody changed anything, treat it as an attack or a failing disk, and look at the ledger: `tributary describe`.',
    ],
  },
  CA_MISMATCH: {
    causes: [
      'The address in the token leads to another server: a proxy, a load balancer, an old machine.',
      'A TLS inspection box answers in the place of the coordinator.',
      'The coordinator was made anew with `init`; its authority is another one now.',
    ],
    steps: [
      'See who answers: `openssl s_client -connect HOST:7444 -showcerts`, and compare the issuer with `ca.pem` of the coordinator.',
      'Exempt the coordinator’s ports from inspection; end-to-end TLS is what keeps the updates yours.',
      'After a new `init`, all sites need new tokens and empty data directories.',
    ],
  },
} as const satisfies Record<string, ErrorGuidance>;
