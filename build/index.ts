// The public API: re-exports, nothing else. A Context (lib/context.ts) says where things live and who listens.

export { type Deps, type DepsRequest, makeDeps } from './deps/deps.ts';
export type { Image } from './image/image.ts';
export { buildImage, type ImageBuilt, type ImageRequest } from './image-pipeline.ts';
export { initProject } from './init/init.ts';
export { type Project, samples } from './init/model.ts';
export { type InvokeRequest, invokeArtifact } from './lambda/invoke.ts';
export type { InvokeResult } from './lambda/invoke-result.ts';
export type { Context } from './lib/context.ts';
export { type ErrorCode, exitStatus, isMakeRuntimeError, MakeRuntimeError } from './lib/errors.ts';
export type { Report, ReportEvent } from './lib/report.ts';
export { type Built, buildRuntime, type PlanRequest, resolvePlan } from './pipeline.ts';
export { type Pushed, type PushRequest, pushError, pushImage } from './push-pipeline.ts';
export type { Plan } from './recipe/model.ts';
export { type ServeRequest, type Serving, serve } from './serve/serve.ts';
export { inspectArtifact, verifyArtifact } from './verify/artifact.ts';
export type { Verdict } from './verify/verdict.ts';
