/**
 * Every table and list that is kept at hand: what it holds and why so much, and after "Then:" what happens when it is full.
 * A part of LIMITS.
 */
export const TABLE_LIMITS = Object.freeze({
  /**
   * Blobs of which an agent keeps what has arrived: a base model, and a version that is rolled out beside it.
   * Then: the oldest is removed and fetched anew when it is asked for.
   */
  keptDownloads: 2,
  /**
   * Jobs whose approval a site keeps at hand; the decisions are in its log. Then: the oldest that has ended is
   * forgotten here.
   */
  siteJobs: 1_000,
  /** Alarms kept at hand for `describe`; the ledger holds all of them. Then: the oldest is forgotten here. */
  alarmsKept: 100,
  /** Alarms of one site about its coordinator kept at hand; its log has all of them. Then: the oldest is forgotten here. */
  siteAlarmsKept: 16,
  /**
   * Orders remembered per stream, to know what an acknowledgement is about. Then: the oldest is forgotten: its
   * acknowledgement is ignored.
   */
  ordersRemembered: 64,
  /**
   * Settled rounds that a reconnecting agent is told of: more than its outbox holds. Then: older ones are not
   * told again.
   */
  settlementsTold: 8,
  /**
   * Proofs of orders kept: those of the open round, and of the rounds that reconnecting agents ask about. Then:
   * the oldest is made anew when it is asked for.
   */
  orderProofsKept: 8,
  /**
   * Proofs of bad dealing kept of one round: who was proven to cheat sits the next attempt out. Then: the oldest is
   * forgotten.
   */
  dealingProofsKept: 64,
  /**
   * Messages of downloads kept while somebody downloads, a chunk each: a cohort fetches one model together.
   * Then: the oldest is forgotten and read again.
   */
  blobMessagesKept: 32,
  /**
   * Answers to orders that an agent remembers: a repeated order gets the first answer again. Then: the oldest is
   * forgotten; its round is long over.
   */
  answersKept: 256,
  /** Events of an object that `describe` shows. Then: older ones are left out; `audit show` has them. */
  describedEvents: 200,
  /** Refusals that the status of a rollout lists. Then: the others are left out; the ledger has them. */
  refusalsTold: 64,
  /** Decisions that the status of a site shows. Then: older ones are left out; its log has them. */
  decisionsTold: 20,
  /** Lines of a coordinator's log kept in memory for `tributary logs`. Then: the oldest is forgotten here. */
  logLinesKept: 2_000,
  /** Files of dead letters that a site keeps of one pipeline. Then: the oldest is removed. */
  deadLetterFiles: 1_024,
  /** Latencies of predictions that the quantiles look back on. Then: the oldest is overwritten. */
  latenciesKept: 4_096,
  /**
   * Models of which a site remembers the backend that was fastest: it trains few at a time. Then: all are forgotten, and
   * measured anew.
   */
  backendsRemembered: 16,
  /**
   * Different texts of one column that a description counts: a column with more holds names or measurements. Then: its
   * values are not told.
   */
  columnTexts: 1_000,
  /**
   * Values of a label that a check counts apart: a column with more holds no classes. Then: rows of further values are
   * counted together.
   */
  labelValues: 1_000,
  /** Notes of one check of a dataset. Then: further ones are left out. */
  checkNotes: 100,
  /**
   * Changes of a site's state between two syncs of its mark: as many it is behind at most where its newest slot is torn.
   * Then: the mark is synced.
   */
  markChangesPerSync: 256,
});
