export { Admin, Enrolment, Fleet, Ledger, packageDefinition, protoRoot, type Service } from './services.js';
export {
  channelOptions,
  limitHandshakes,
  limitStrangers,
  SERVER_NAME,
  serverNameOptions,
  serverOptions,
  widenSessions,
  widenStreams,
} from './options.js';
export { Crowd, type Call, type Peer } from './crowd.js';
export { ERROR_METADATA, fromServiceError, toServiceError } from './status.js';
export { callServerStream, callUnary, type Method, type StreamOptions, type UnaryOptions } from './calls.js';

export type { AdminClient, AdminDefinition, AdminHandlers } from '../gen/tributary/v1/Admin.js';
export type {
  EnrolmentClient,
  EnrolmentDefinition,
  EnrolmentHandlers,
} from '../gen/tributary/v1/Enrolment.js';
export type { FleetClient, FleetDefinition, FleetHandlers } from '../gen/tributary/v1/Fleet.js';
export type { LedgerClient, LedgerDefinition, LedgerHandlers } from '../gen/tributary/v1/Ledger.js';

export type { AgentMessage, AgentMessage__Output } from '../gen/tributary/v1/AgentMessage.js';
export type { ApplyRequest, ApplyRequest__Output } from '../gen/tributary/v1/ApplyRequest.js';
export type { ApplyResponse, ApplyResponse__Output } from '../gen/tributary/v1/ApplyResponse.js';
export type {
  ApproveSiteRequest,
  ApproveSiteRequest__Output,
} from '../gen/tributary/v1/ApproveSiteRequest.js';
export type { BackupChunk, BackupChunk__Output } from '../gen/tributary/v1/BackupChunk.js';
export type { BlobChunk, BlobChunk__Output } from '../gen/tributary/v1/BlobChunk.js';
export type { Challenge, Challenge__Output } from '../gen/tributary/v1/Challenge.js';
export type { ConsistencyProof, ConsistencyProof__Output } from '../gen/tributary/v1/ConsistencyProof.js';
export type { ControlJobRequest, ControlJobRequest__Output } from '../gen/tributary/v1/ControlJobRequest.js';
export type {
  CoordinatorMessage,
  CoordinatorMessage__Output,
} from '../gen/tributary/v1/CoordinatorMessage.js';
export type { Cosignature, Cosignature__Output } from '../gen/tributary/v1/Cosignature.js';
export type { CosignatureRecord, CosignatureRecord__Output } from '../gen/tributary/v1/CosignatureRecord.js';
export type {
  CreateContextRequest,
  CreateContextRequest__Output,
} from '../gen/tributary/v1/CreateContextRequest.js';
export type {
  CreateContextResponse,
  CreateContextResponse__Output,
} from '../gen/tributary/v1/CreateContextResponse.js';
export type {
  CreateInvitationRequest,
  CreateInvitationRequest__Output,
} from '../gen/tributary/v1/CreateInvitationRequest.js';
export type { Description, Description__Output } from '../gen/tributary/v1/Description.js';
export type { EnrollRequest, EnrollRequest__Output } from '../gen/tributary/v1/EnrollRequest.js';
export type { EnrollResponse, EnrollResponse__Output } from '../gen/tributary/v1/EnrollResponse.js';
export type { Event, Event__Output } from '../gen/tributary/v1/Event.js';
export type { Failure, Failure__Output } from '../gen/tributary/v1/Failure.js';
export type { FetchBlobRequest, FetchBlobRequest__Output } from '../gen/tributary/v1/FetchBlobRequest.js';
export type {
  PublishRosterRequest,
  PublishRosterRequest__Output,
} from '../gen/tributary/v1/PublishRosterRequest.js';
export type { PublishRosterResponse } from '../gen/tributary/v1/PublishRosterResponse.js';
export type {
  FetchModelBlobRequest,
  FetchModelBlobRequest__Output,
} from '../gen/tributary/v1/FetchModelBlobRequest.js';
export type {
  GetChallengeRequest,
  GetChallengeRequest__Output,
} from '../gen/tributary/v1/GetChallengeRequest.js';
export type {
  GetConsistencyProofRequest,
  GetConsistencyProofRequest__Output,
} from '../gen/tributary/v1/GetConsistencyProofRequest.js';
export type { GetEntriesRequest, GetEntriesRequest__Output } from '../gen/tributary/v1/GetEntriesRequest.js';
export type {
  GetInclusionProofRequest,
  GetInclusionProofRequest__Output,
} from '../gen/tributary/v1/GetInclusionProofRequest.js';
export type {
  GetTreeHeadRequest,
  GetTreeHeadRequest__Output,
} from '../gen/tributary/v1/GetTreeHeadRequest.js';
export type {
  GetUploadStatusRequest,
  GetUploadStatusRequest__Output,
} from '../gen/tributary/v1/GetUploadStatusRequest.js';
export type { GetVersionRequest, GetVersionRequest__Output } from '../gen/tributary/v1/GetVersionRequest.js';
export type { Goodbye, Goodbye__Output } from '../gen/tributary/v1/Goodbye.js';
export type { Heartbeat, Heartbeat__Output } from '../gen/tributary/v1/Heartbeat.js';
export type { HeartbeatAck, HeartbeatAck__Output } from '../gen/tributary/v1/HeartbeatAck.js';
export type { Hello, Hello__Output } from '../gen/tributary/v1/Hello.js';
export type { InclusionProof, InclusionProof__Output } from '../gen/tributary/v1/InclusionProof.js';
export type { Invitation, Invitation__Output } from '../gen/tributary/v1/Invitation.js';
export type { LedgerRecord, LedgerRecord__Output } from '../gen/tributary/v1/LedgerRecord.js';
export type {
  ListObjectsRequest,
  ListObjectsRequest__Output,
} from '../gen/tributary/v1/ListObjectsRequest.js';
export type {
  ListObjectsResponse,
  ListObjectsResponse__Output,
} from '../gen/tributary/v1/ListObjectsResponse.js';
export type { LogLine, LogLine__Output } from '../gen/tributary/v1/LogLine.js';
export type { ModelBlobChunk, ModelBlobChunk__Output } from '../gen/tributary/v1/ModelBlobChunk.js';
export type {
  Object as ObjectMessage,
  Object__Output as ObjectMessage__Output,
} from '../gen/tributary/v1/Object.js';
export type { ObjectRef, ObjectRef__Output } from '../gen/tributary/v1/ObjectRef.js';
export type { Order, Order__Output } from '../gen/tributary/v1/Order.js';
export type { JobDecision, JobDecision__Output } from '../gen/tributary/v1/JobDecision.js';
export type { OrderAck, OrderAck__Output } from '../gen/tributary/v1/OrderAck.js';
export type { Progress, Progress__Output } from '../gen/tributary/v1/Progress.js';
export type { ProvenEntry, ProvenEntry__Output } from '../gen/tributary/v1/ProvenEntry.js';
export type { RenewRequest, RenewRequest__Output } from '../gen/tributary/v1/RenewRequest.js';
export type { RenewResponse, RenewResponse__Output } from '../gen/tributary/v1/RenewResponse.js';
export type {
  RevokeContextRequest,
  RevokeContextRequest__Output,
} from '../gen/tributary/v1/RevokeContextRequest.js';
export type {
  RevokeContextResponse,
  RevokeContextResponse__Output,
} from '../gen/tributary/v1/RevokeContextResponse.js';
export type { ServedModel, ServedModel__Output } from '../gen/tributary/v1/ServedModel.js';
export type { UndoRolloutRequest__Output } from '../gen/tributary/v1/UndoRolloutRequest.js';
export type { RevokeSiteRequest, RevokeSiteRequest__Output } from '../gen/tributary/v1/RevokeSiteRequest.js';
export type { SignedTreeHead, SignedTreeHead__Output } from '../gen/tributary/v1/SignedTreeHead.js';
export type { StageMessage, StageMessage__Output } from '../gen/tributary/v1/StageMessage.js';
export type { StageRequest, StageRequest__Output } from '../gen/tributary/v1/StageRequest.js';
export type { StageResult, StageResult__Output } from '../gen/tributary/v1/StageResult.js';
export type {
  StreamBackupRequest,
  StreamBackupRequest__Output,
} from '../gen/tributary/v1/StreamBackupRequest.js';
export type { StreamLogsRequest, StreamLogsRequest__Output } from '../gen/tributary/v1/StreamLogsRequest.js';
export type { UploadChunk, UploadChunk__Output } from '../gen/tributary/v1/UploadChunk.js';
export type { UploadHeader, UploadHeader__Output } from '../gen/tributary/v1/UploadHeader.js';
export type { UploadMessage, UploadMessage__Output } from '../gen/tributary/v1/UploadMessage.js';
export type { UploadReceipt, UploadReceipt__Output } from '../gen/tributary/v1/UploadReceipt.js';
export type { UploadSeal, UploadSeal__Output } from '../gen/tributary/v1/UploadSeal.js';
export type { UploadStatus, UploadStatus__Output } from '../gen/tributary/v1/UploadStatus.js';
export type { VersionInfo, VersionInfo__Output } from '../gen/tributary/v1/VersionInfo.js';
export type { WatchEvent, WatchEvent__Output } from '../gen/tributary/v1/WatchEvent.js';
export type {
  WatchObjectsRequest,
  WatchObjectsRequest__Output,
} from '../gen/tributary/v1/WatchObjectsRequest.js';
export type { Welcome, Welcome__Output } from '../gen/tributary/v1/Welcome.js';
