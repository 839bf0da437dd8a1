import { expect, test } from 'vitest';
import { builderPin } from '../../build/registry/pin.ts';
import { parseLock, printLock, withBuilder } from '../../build/source/lock.ts';
import { lock } from '../recipe/support/plans.ts';
import { testContext } from '../source/support/context.ts';
import { digestOf, sampleImage, scriptedRegistry } from './support/scripted.ts';

const image = sampleImage(Buffer.from('layer'), { compress: (bytes) => bytes });

test('a pin is what the registry sends under a tag, hashed here; added, printed, read back, moved', async () => {
  await using ctx = await testContext();
  await using server = await scriptedRegistry({ al2023: { bytes: image.manifest, mediaType: image.mediaType } }, []);
  const reference = `${server.host}/base:al2023`;
  const pin = await builderPin(reference, ctx, { patience: { attempts: 1, delay: 1, silence: 2000 } });
  expect(pin).toEqual({
    reference,
    digest: digestOf(image.manifest),
    verifiedBy: expect.stringContaining(server.host),
  });

  const before = await lock();
  const pinned = withBuilder(before, pin);
  expect(parseLock(printLock(pinned))).toEqual({ ...pinned, sources: parseLock(printLock(before)).sources });
  const moved = { ...pin, digest: `sha256:${'5'.repeat(64)}` };
  expect(withBuilder(pinned, moved).builders).toEqual([moved]);
  expect(printLock(before)).not.toContain('builders');
});

test('what is no tag cannot be pinned', async () => {
  await using ctx = await testContext();
  const pinned = `public.ecr.aws/lambda/provided@sha256:${'5'.repeat(64)}`;
  await expect(builderPin(pinned, ctx)).rejects.toMatchObject({ code: 'USAGE' });
  await expect(builderPin('Not A Name', ctx)).rejects.toMatchObject({ code: 'REFERENCE_INVALID' });
});
