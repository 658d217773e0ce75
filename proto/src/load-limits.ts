const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * Every queue, rate, number of places and deadline: its unit and reason, and after "Then:" what happens when it is full or
 * over. A part of LIMITS.
 */
export const LOAD_LIMITS = Object.freeze({
  /**
   * Milliseconds until a trainer of another process must listen on its socket: a Python runtime takes several
   * seconds. Then: the training fails with TRAINING_FAILED.
   */
  trainerStartMs: 60_000,
  /**
   * Milliseconds in which such a trainer must say something, progress for example. Then: the task fails with
   * TRAINING_FAILED.
   */
  trainerIdleMs: 300_000,
  /** Milliseconds for a training worker to obey a cancellation. Then: it is ended. */
  trainerStopMs: 10_000,
  /** Rows that wait for a prediction: a slow model must not cost memory. Then: OVERLOADED with retryAfterMs. */
  predictionQueueRows: 16_384,
  /**
   * Milliseconds for an inference worker to answer. Then: the worker is replaced, and its batch scored once
   * more.
   */
  predictionMs: 30_000,
  /**
   * Milliseconds for an inference worker to build a model: a large one loads for seconds. Then: the worker is
   * replaced.
   */
  modelBuildMs: 120_000,
  /**
   * Connections of the local endpoint for predictions. Then: the oldest is closed, of those first that asked for
   * nothing.
   */
  predictionConnections: 256,
  /**
   * Bytes of the bodies of such requests over REST that are held together: sixteen of the largest. Then: OVERLOADED with
   * retryAfterMs.
   */
  predictionBodiesBytes: 256 * MIB,
  /**
   * Calls at the same time on one connection to it over gRPC: each may hold a body. Then: further calls wait at
   * the caller, as HTTP/2 has it.
   */
  predictionStreams: 16,
  /**
   * Calls at the same time that ask over gRPC, without a token, whether it lives: each may hold a body. Then: OVERLOADED with
   * retryAfterMs.
   */
  predictionProbes: 16,
  /**
   * Milliseconds in which the headers of a request for predictions are there. Then: status 408 and the
   * connection is closed.
   */
  predictionHeadersMs: 10_000,
  /**
   * Milliseconds in which all of a request for predictions is there. Then: status 408 and the connection is
   * closed.
   */
  predictionRequestMs: 30_000,
  /** Predictions that wait to be written to their log. Then: OVERLOADED with retryAfterMs. */
  predictionLogPending: 65_536,
  /**
   * Uploads received at the same time: each may fill one receive window and one spool file. Then: OVERLOADED
   * with retryAfterMs; the upload goes on where it was.
   */
  concurrentUploads: 64,
  /**
   * Calls open at the same time on one connection of an operator: a console has a few dozen. Then: further calls
   * wait at the caller, as HTTP/2 has it.
   */
  streamsPerConnection: 100,
  /**
   * Calls open at the same time on one connection of an agent, which needs three; each may hold a message that
   * is not whole yet. Then: further calls wait at the caller, as HTTP/2 has it.
   */
  streamsPerAgentConnection: 16,
  /**
   * Calls open at the same time on one of somebody without a certificate: 256 connections then hold 128 MiB at
   * most. Then: further calls wait at the caller, as HTTP/2 has it.
   */
  streamsPerAnonymousConnection: 16,
  /** Uploads added to a sum at the same time: each costs two chunks of memory. Then: further ones wait in their spools. */
  foldedTogether: 4,
  /** Upload streams of one agent at the same time. Then: OVERLOADED with retryAfterMs. */
  uploadsPerAgent: 2,
  /**
   * Bytes of HTTP/2 receive window per connection and stream; 4 MiB fills 50 ms at 80 MB/s. Then: the sender
   * waits.
   */
  receiveWindowBytes: 4 * MIB,
  /**
   * Proofs that an agent asks for at the same time: a cohort has as many tree heads as members. Then: further
   * ones wait.
   */
  proofsTogether: 8,
  /**
   * Milliseconds before the first repeat of a round, doubled for each further one: sites that crashed come back.
   * Then: the round is tried again.
   */
  roundRetryDelayMs: 1_000,
  /**
   * Milliseconds before a step of a job that failed (a full disk, say) is tried again. Then: the step is tried
   * again.
   */
  stepRetryMs: 2_000,
  /** Jobs waiting or running. Then: LIMIT_EXCEEDED until one has ended. */
  openJobs: 1_000,
  /**
   * Connections of those who join: joining is rare and takes a second. Then: the oldest is closed, of those
   * first that asked for nothing.
   */
  enrollingConnections: 256,
  /** Milliseconds that such a connection may stay. Then: the connection is asked to end, then closed. */
  enrollingMs: 60_000,
  /** Connections of operators. Then: the newest is closed at once. */
  operatorConnections: 256,
  /** Connections of one agent: it holds one, and for a moment the one before. Then: the oldest is closed. */
  connectionsPerAgent: 4,
  /** Connections of one person: a few terminals. Then: the oldest is closed. */
  connectionsPerContext: 16,
  /**
   * Milliseconds in which calls of a revoked identity still get their typed refusal. Then: its connections are
   * closed.
   */
  revocationGraceMs: 250,
  /** Connections of a page for scrapers: each costs one rendering. Then: the oldest is closed. */
  pageConnections: 32,
  /**
   * Milliseconds in which a request for a page is there, and for which an idle connection is kept. Then: the
   * connection is closed.
   */
  pageRequestMs: 5_000,
  /** Bytes of the headers of an HTTP request. Then: status 431. */
  httpHeaderBytes: 8 * KIB,
  /** Connections of probes. Then: the oldest is closed, of those first that asked for nothing. */
  probeConnections: 64,
  /** Milliseconds that probes which watch have to leave when an agent stops. Then: they are cut. */
  probeLeaveMs: 500,
  /**
   * Messages that wait for an agent that does not read; orders are few, so more means that it is stuck. Then:
   * the stream is ended; the agent gets its orders again on the next.
   */
  ordersWaiting: 64,
  /**
   * Processes of one agent that may take a new session epoch in an hour: each is a ledger entry. Then:
   * OVERLOADED with the rest of the window as retryAfterMs.
   */
  startsPerHour: 600,
  /**
   * Messages that one agent sends on its stream in a minute: a heartbeat every 5 s, and now and then progress or an answer.
   * Then: the stream is ended with OVERLOADED and the rest of the window as retryAfterMs.
   */
  agentMessagesPerMinute: 6_000,
  /** Milliseconds of the window over which rates are counted. Then: counting begins anew. */
  rateWindowMs: 3_600_000,
  /**
   * Milliseconds for which cosignatures are gathered: one that a crash loses is given again. Then: they are
   * written.
   */
  cosignaturesFlushMs: 1_000,
  /**
   * Messages written to one stream and not yet sent: as many small ones as keep a connection busy. Then: the
   * next message waits until one has left.
   */
  messagesAhead: 16,
  /**
   * Chunks written to one stream and not yet sent: memory for every reader. Then: the next chunk is not read
   * before one has left.
   */
  chunksAhead: 2,
  /**
   * New certificates for one agent or one join token in an hour: each is a ledger entry, and one a day is usual.
   * Then: OVERLOADED with the rest of the window as retryAfterMs.
   */
  certificatesPerHour: 30,
  /**
   * Downloads of one agent at the same time: the model of a round, and perhaps that of the next. Then:
   * OVERLOADED with retryAfterMs.
   */
  downloadsPerAgent: 4,
  /**
   * Milliseconds that a stopped daemon may take to leave by itself, before something left open is cut. Then: the
   * process ends.
   */
  daemonLeaveMs: 2_000,
  /**
   * Milliseconds between two writes of the counters of an agent, where nothing else writes them. Then: they are
   * written.
   */
  countersFlushMs: 5_000,
  /**
   * Milliseconds of the wait after a failed renewal: a third of the lifetime leaves room for many. Then: the
   * next attempt.
   */
  renewalRetryMs: 60_000,
  /**
   * Bytes of control messages of an agent waiting to be sent: a coordinator that reads none of so many is gone.
   * Then: the stream is ended and opened anew.
   */
  unsentBytes: 1 * MIB,
  /**
   * Milliseconds of silence for which an ended connection waits for the broker to close it too. Then: the
   * connection is cut.
   */
  brokerGoodbyeMs: 1_000,
  /**
   * Milliseconds of silence before a source that says farewell is asked again: a broker may send a moment later.
   * Then: the source has nothing left.
   */
  brokerQuietMs: 250,
  /** Milliseconds after which a connection to a broker was a good one. Then: waits begin at the shortest again. */
  brokerGoodMs: 10_000,
  /**
   * Milliseconds before the first restart of an inference worker that died, doubled for each further death.
   * Then: the worker is started.
   */
  inferenceRestartMs: 100,
  /** Longest wait before such a restart. Then: the worker is started. */
  inferenceRestartMaxMs: 10_000,
  /** Milliseconds that a training worker gets to end by itself when the trainer is closed. Then: it is ended. */
  trainerCloseMs: 3_000,
  /**
   * Milliseconds that the killed process in which a backend was tried is waited for: a driver that hangs may keep it.
   * Then: it is left to the system.
   */
  probeEndMs: 1_000,
  /**
   * Milliseconds between two starts of a trainer of another process: one that cannot start must not fill the
   * machine. Then: the next start.
   */
  trainerRestartMs: 1_000,
  /**
   * Milliseconds between two syncs of the log of predictions: what a crash of the machine may cost. Then: the
   * log is synced.
   */
  predictionLogSyncMs: 1_000,
  /**
   * Milliseconds between two looks for files of that log that are too old. Then: files that are too old are
   * removed.
   */
  predictionLogExpireMs: 3_600_000,
  /**
   * Longest wait that a goodbye may ask for: patience, but not so much that the site is lost. Then: a longer one
   * is cut to this.
   */
  goodbyeMaxMs: 10 * 60_000,
  /**
   * Milliseconds of a command at the socket of an agent: a rollback loads a network first. Then: the command
   * fails; it may be given again.
   */
  deskMs: 60_000,
  /** Orders of one agent being verified at the same time. Then: the order is dropped. */
  ordersVerifying: 64,
  /** Watch and log streams at the same time. Then: OVERLOADED with retryAfterMs. */
  watchers: 256,
  /** Watch and log streams of one operator. Then: OVERLOADED with retryAfterMs. */
  watchersPerContext: 32,
  /**
   * Changes of objects that wait for a watcher who does not read. Then: the watch is ended with OVERLOADED; it
   * resumes at its bookmark.
   */
  watchEventsWaiting: 1_000,
  /** Milliseconds without a change after which a watcher is told how far it is. Then: a bookmark is sent. */
  watchBookmarkMs: 15_000,
  /**
   * Entries that `describe` looks at for them: it costs a bounded time whatever the age of the ledger. Then:
   * older ones are not looked at.
   */
  describedEntries: 20_000,
  /** Readings of the ledger at the same time. Then: OVERLOADED with retryAfterMs. */
  readings: 256,
  /** Readings of the ledger by one caller. Then: OVERLOADED with retryAfterMs. */
  readingsPerCaller: 4,
  /**
   * Milliseconds for which a challenge may be answered: one round trip and a signature. Then: UNAUTHENTICATED; a
   * new one is asked for.
   */
  challengeTtlMs: 60_000,
  /**
   * Challenges outstanding at once, one of each agent: as many as there may be agents, so that nobody who asks for those of
   * others keeps one from renewing. Then: OVERLOADED with retryAfterMs.
   */
  challenges: 10_000,
  /** Milliseconds of a call with one answer: none waits for training. Then: DEADLINE_EXCEEDED. */
  unaryDeadlineMs: 30_000,
  /**
   * Milliseconds for which the other side of an upload or download neither delivers nor takes anything. Then:
   * DEADLINE_EXCEEDED.
   */
  streamIdleMs: 60_000,
  /** Milliseconds for a TLS handshake: an idle socket makes place for others. Then: the connection is closed. */
  handshakeMs: 10_000,
  /**
   * Connections of one port whose TLS handshake is under way: the rest of a fleet that comes back queues in the
   * kernel. Then: the oldest of them is closed.
   */
  handshakes: 1_024,
  /**
   * Tunnels for agents behind proxies that open TLS: each holds two sockets. Then: the oldest to the enrol listener is ended
   * for another, to whichever listener, else the oldest to the fleet listener in which nobody has shown a certificate yet;
   * where there is none, another is answered with 503, and the agent tries again.
   */
  tunnels: 1_024,
  /**
   * Tunnels from one address to one listener: a proxy, or an ingress, may stand for many sites. Then: the oldest to the
   * enrol listener is ended, else the oldest to the fleet listener in which nobody has shown a certificate yet; where there
   * is none, another is answered with 503, and the agent tries again.
   */
  tunnelsPerAddress: 256,
  /** Milliseconds in which nothing moves in a tunnel: heartbeats come every few seconds. Then: the tunnel is closed. */
  tunnelIdleMs: 120_000,
  /** Milliseconds of one look of `tributary-agent check`: a person waits for it. Then: the look counts as failed. */
  siteCheckMs: 10_000,
  /**
   * Milliseconds between two heartbeats: three in the timeout, so that one may be lost. Then: a heartbeat is
   * sent.
   */
  heartbeatIntervalMs: 5_000,
  /**
   * Milliseconds without a sign of life after which the other side counts as gone: a dead one is noticed in 15 s. Then:
   * the stream is ended with DEADLINE_EXCEEDED, and the agent connects again; the coordinator goes on without it.
   */
  heartbeatTimeoutMs: 14_000,
  /**
   * Messages of one MQTT source delivered and not acknowledged: with 256 bytes each, 50 ms at 20,000 a second.
   * Then: nothing more is read until some are acknowledged.
   */
  brokerInFlight: 1_024,
  /**
   * Messages that wait in a sink for their broker: a second of results. Then: the pipeline stops reading until
   * the broker has taken some.
   */
  sinkMessages: 16_384,
  /** Bytes of them. Then: the pipeline stops reading until the broker has taken some. */
  sinkBytes: 64 * MIB,
  /**
   * Milliseconds of silence after which a connection is tried with a ping: a dead route says nothing. Then: a
   * ping is sent.
   */
  keepaliveTimeMs: 30_000,
  /** Milliseconds for the answer to it. Then: the connection is closed. */
  keepaliveTimeoutMs: 10_000,
  /**
   * Shortest wait before an agent connects again; doubled for each failure, spread at random. Then: the next
   * attempt.
   */
  reconnectMinMs: 500,
  /** Longest such wait: whoever is away is back within 5 s of a coordinator's return. Then: the next attempt. */
  reconnectMaxMs: 4_000,
  /**
   * Milliseconds after which whoever was refused for load is asked to come back: a place is free within seconds.
   * Then: the next attempt, at most as much again later.
   */
  retryAfterMs: 1_000,
  /**
   * Longest wait asked for by whoever refuses for load: nobody may send a site away for good. Then: a longer one
   * is cut to this.
   */
  retryAfterMaxMs: 60_000,
  /**
   * Milliseconds of grace for running calls when a daemon stops. Then: they are cut; what was durable goes on
   * after the start.
   */
  drainMs: 10_000,
  /**
   * Keys of one pipeline whose state is held: each has about as much as one window. Then: messages of a new key
   * become dead letters until one is forgotten.
   */
  streamKeys: 10_000,
  /**
   * Values that the keys of one pipeline hold for open windows together: 256 MiB as float64. Then: messages that make a key
   * hold more than its share of them become dead letters, until its windows close; the others go on.
   */
  streamValues: 33_554_432,
  /** Messages of one pipeline that are read and not done with. Then: nothing more is read from the broker. */
  streamOutstanding: 4_096,
  /** Bytes of them. Then: nothing more is read from the broker. */
  streamOutstandingBytes: 64 * MIB,
  /**
   * Batches of one pipeline at the model at the same time: one is scored while others are encoded and published.
   * Then: further ones wait, and nothing more is read once too many do.
   */
  streamBatches: 4,
  /**
   * Reports of dead letters that a pipeline publishes a second: devices that storm are told of once. Then:
   * further ones are counted and not reported.
   */
  deadLetterReports: 100,
});
