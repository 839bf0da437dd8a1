// Region names as a person gives them -> the regions to work in. Asks AWS only for "all".
import { MakeRuntimeError } from '../lib/errors.ts';
import type { AwsSession } from './session.ts';

/** eu-west-1, us-gov-west-1, ap-southeast-5, us-iso-east-1, eusc-de-east-1: the shape, not the list, which grows. */
const shape = /^[a-z]{2,4}(-[a-z]+)+-\d{1,2}$/;

/**
 * @param words each a region, several with commas between them, or "all"; the session's own region when there are none
 * @returns without duplicates, in the order given
 * @throws AWS_REGION_INVALID for what cannot be a region; what AwsSession.enabledRegions() throws
 */
export async function chooseRegions(words: readonly string[], aws: AwsSession): Promise<readonly string[]> {
  const names = words.flatMap((word) => word.split(',')).map((name) => name.trim());
  const wrong = names.find((name) => name !== 'all' && !shape.test(name));
  if (wrong !== undefined) {
    throw new MakeRuntimeError('AWS_REGION_INVALID', `"${wrong}" is not the name of a region.`, {
      remedy: 'Write it like eu-west-1, several with commas between them, or "all".',
    });
  }
  if (names.includes('all')) return aws.enabledRegions((await aws.defaultRegion()) ?? 'us-east-1');
  if (names.length > 0) return [...new Set(names)];
  const region = await aws.defaultRegion();
  if (region !== undefined) return [region];
  throw new MakeRuntimeError('AWS_REGION_INVALID', 'Which region?', {
    remedy: 'Say --region eu-west-1 (or several, or "all"), or set AWS_REGION.',
  });
}
