import { fileURLToPath } from 'node:url';

import {
  loadPackageDefinition,
  Server,
  ServerCredentials,
  type Client,
  type handleUnaryCall,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { LIMITS, TributaryError } from '@tributary/proto';
import { limitStrangers, serverOptions, toServiceError, type Service } from '@tributary/proto/grpc';

import type {
  GRPCInferenceServiceClient,
  GRPCInferenceServiceDefinition,
  GRPCInferenceServiceHandlers,
} from '../../gen/inference/GRPCInferenceService.js';
import type { InferParameter__Output } from '../../gen/inference/InferParameter.js';
import type { ModelInferRequest__Output } from '../../gen/inference/ModelInferRequest.js';
import type { ModelInferResponse } from '../../gen/inference/ModelInferResponse.js';
import { tokenGuard } from './grpc-access.js';
import { rawElements, rawOutput, typedElements, typedOutput } from './grpc-tensors.js';
import type { InferenceService, TensorDescription } from './inference-service.js';
import { elementsOfShape, type InferRequest, type InferResponse, type InputTensor } from './tensors.js';

/** The protocol's messages as other programs may load them: beside src/ and dist/. */
const PROTOCOL_FILE = fileURLToPath(new URL('../../../oip/inference.proto', import.meta.url));

const loaded = loadPackageDefinition(
  loadSync(PROTOCOL_FILE, { longs: String, enums: String, defaults: true, oneofs: true }),
) as unknown as {
  readonly inference: {
    readonly GRPCInferenceService: Service<
      GRPCInferenceServiceClient & Client,
      GRPCInferenceServiceDefinition
    >;
  };
};

export const { GRPCInferenceService } = loaded.inference;

export interface GrpcOptions {
  readonly service: InferenceService;
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Bearer token that every call needs, liveness and readiness of the server excepted; none where absent. */
  readonly token?: string | undefined;
  /** Told of errors that should not happen. */
  readonly onUnexpected: (error: unknown) => void;
}

export interface GrpcInferenceServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Serves the gRPC interface of the Open Inference Protocol. Rejects with CONFIG_INVALID where it cannot listen. */
export async function serveGrpc(options: GrpcOptions): Promise<GrpcInferenceServer> {
  const { ServerLive, ServerReady } = GRPCInferenceService.service;
  const server = new Server({
    ...serverOptions({
      'grpc.max_receive_message_length': LIMITS.predictionBodyBytes,
      'grpc.max_send_message_length': LIMITS.predictionBodyBytes,
      'grpc.max_concurrent_streams': LIMITS.predictionStreams,
    }),
    interceptors: [tokenGuard(options.token, new Set([ServerLive.path, ServerReady.path]))],
  });
  server.addService(GRPCInferenceService.service, handlers(options));
  const { host, port } = options;
  const bound = await new Promise<number>((resolve, reject) => {
    const address = `${host.includes(':') ? `[${host}]` : host}:${String(port)}`;
    server.bindAsync(address, ServerCredentials.createInsecure(), (cause, actual) => {
      if (cause === null) resolve(actual);
      else reject(new TributaryError('CONFIG_INVALID', `serving.grpcPort: ${cause.message}`, { cause }));
    });
  });
  limitStrangers(server, LIMITS.predictionConnections);
  return {
    port: bound,
    close: () => {
      server.forceShutdown();
      return Promise.resolve();
    },
  };
}

type Handler<Request, Response> = handleUnaryCall<Request, Response>;

function handlers({ service, onUnexpected }: GrpcOptions): GRPCInferenceServiceHandlers {
  const unary =
    <Request, Response>(
      answer: (request: Request) => Response | Promise<Response>,
    ): Handler<Request, Response> =>
    ({ request }, callback) => {
      const answered = async (): Promise<Response> => answer(request);
      answered().then(
        (response) => {
          callback(null, response);
        },
        (error: unknown) => {
          if (TributaryError.from(error).code === 'INTERNAL') onUnexpected(error);
          callback(toServiceError(error));
        },
      );
    };
  return {
    ServerLive: unary(() => ({ live: true })),
    ServerReady: unary(() => ({ ready: service.ready })),
    ModelReady: unary(({ name, version }: Named) => ({ ready: service.modelReady(name, version) })),
    ServerMetadata: unary(() => {
      const { extensions, ...rest } = service.server();
      return { ...rest, extensions: [...extensions] };
    }),
    ModelMetadata: unary(({ name, version }: Named) => {
      const { versions, inputs, outputs, ...rest } = service.model(name, version);
      return {
        ...rest,
        versions: [...versions],
        inputs: inputs.map(tensorMetadata),
        outputs: outputs.map(tensorMetadata),
      };
    }),
    ModelInfer: unary(async (request: ModelInferRequest__Output) =>
      responseOf(await service.infer(requestOf(request)), request.rawInputContents.length > 0),
    ),
  };
}

interface Named {
  readonly name: string;
  readonly version: string;
}

const tensorMetadata = ({ shape, ...rest }: TensorDescription) => ({ ...rest, shape: [...shape] });

function requestOf(request: ModelInferRequest__Output): InferRequest {
  const { modelName, modelVersion, id, parameters, inputs, outputs, rawInputContents } = request;
  if (inputs.length === 0 || inputs.length > LIMITS.predictionTensors)
    throw new TributaryError('INVALID_ARGUMENT', 'inputs: give a tensor for each column, or encoded rows');
  const raw = rawInputContents.length > 0;
  if (raw && rawInputContents.length !== inputs.length)
    throw new TributaryError('INVALID_ARGUMENT', 'raw_input_contents: give one for each tensor of inputs');
  return {
    model: modelName,
    version: modelVersion,
    ...(id !== '' && { id }),
    decisionIds: textOf(parameters['decision_ids']),
    inputs: inputs.map(({ name, datatype, shape, contents }, index): InputTensor => {
      const sizes = shape.map(Number);
      const count = elementsOfShape(name, sizes);
      if (raw && contents !== null)
        throw new TributaryError(
          'INVALID_ARGUMENT',
          'inputs: contents and raw_input_contents exclude each other',
        );
      const bytes = rawInputContents[index];
      const elements =
        raw && bytes !== undefined
          ? rawElements(name, datatype, bytes, count)
          : typedElements(name, datatype, contents, count);
      return { name, datatype, shape: sizes, elements };
    }),
    outputs: outputs.map(({ name }) => name),
  };
}

function textOf(parameter: InferParameter__Output | undefined): string | undefined {
  if (parameter === undefined) return undefined;
  if (parameter.stringParam !== undefined) return parameter.stringParam;
  throw new TributaryError('INVALID_ARGUMENT', 'parameters.decision_ids: a string parameter');
}

const textParameter = (names: readonly string[]) => ({
  stringParam: JSON.stringify(names),
  parameterChoice: 'stringParam' as const,
});

/** An answer in the form of its request. */
function responseOf(response: InferResponse, raw: boolean): ModelInferResponse {
  const { model, version, id = '', outputs, unreadableCells } = response;
  return {
    modelName: model,
    modelVersion: version,
    id,
    parameters: { unreadable_cells: { int64Param: unreadableCells, parameterChoice: 'int64Param' as const } },
    outputs: outputs.map((output) => ({
      name: output.name,
      datatype: output.datatype,
      shape: [...output.shape],
      parameters: output.names === undefined ? {} : { names: textParameter(output.names) },
      ...(!raw && { contents: typedOutput(output) }),
    })),
    ...(raw && { rawOutputContents: outputs.map(rawOutput) }),
  };
}
