// `make-runtime image`: builds a recipe unless it is given a layer, makes the image and says where it is.
import { defaultBase } from '../image/base.ts';
import { buildImage } from '../image-pipeline.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { buildRuntime, type PlanRequest, resolvePlan } from '../pipeline.ts';
import type { ImageFormat } from '../registry/formats.ts';
import { parseReference } from '../registry/reference.ts';
import type { Verdict } from '../verify/verdict.ts';
import type { Edge } from './edge.ts';

interface ImageOptions extends Omit<PlanRequest, 'recipe'> {
  readonly subject: string;
  readonly base?: string;
  readonly format: ImageFormat;
  readonly name?: string;
  readonly withoutPip?: boolean;
  readonly tar?: boolean;
  readonly output: string;
}

export async function image(options: ImageOptions, edge: Edge): Promise<void> {
  const { subject, base = defaultBase, format, name, withoutPip = false, tar = false, output, ...request } = options;
  if (name !== undefined && parseReference(name).digest !== undefined) {
    throw new MakeRuntimeError('REFERENCE_INVALID', `"${name}" names a digest, which an image gets from its content.`, {
      remedy: 'Give a name and a tag, such as my/python:3.13.',
    });
  }
  let layer = subject;
  let verdict: Verdict | undefined;
  if (!subject.endsWith('.zip')) {
    const plan = await resolvePlan({ recipe: subject, ...request }, edge.ctx);
    for (const note of plan.notes) edge.ctx.report({ type: 'note', message: note });
    const built = await buildRuntime(plan, output, edge.ctx, request);
    layer = built.layer.path;
    verdict = built.verdict;
  }
  const { plan, statements, ...made } = await buildImage(
    { layer, base, format, pip: !withoutPip, tar, ...(name === undefined ? {} : { name }) },
    output,
    edge.ctx,
    verdict,
  );
  edge.say(`${(made.size / 1e6).toFixed(1)} MB in ${made.layers.length} layers, ${made.digest}`);
  if (made.base !== undefined && !/^layout:|@/.test(base)) edge.say(`base ${base} is ${made.base} today`);
  edge.print(edge.json ? JSON.stringify({ plan: plan.id, name: plan.name, ...made, statements }) : made.path);
}
