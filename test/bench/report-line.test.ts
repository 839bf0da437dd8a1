// REPORT lines as the Lambda Developer Guide and its log groups have them.
import { expect, test } from 'vitest';
import { readReportLine } from '../../build/bench/aws/report-line.ts';

const line =
  'REPORT RequestId: 8f507cfc-xmpl-4697-b07a-ac58fc914c95\tDuration: 79.67 ms\tBilled Duration: 80 ms\tMemory Size: 128 MB\tMax Memory Used: 73 MB\t';

test('cold and warm', () => {
  const cold = `START RequestId: 8f50 Version: $LATEST\nDuration: 1 ms is what I say\nEND RequestId: 8f50\n${line}Init Duration: 110.12 ms\t\n`;
  expect(readReportLine(cold)).toEqual({ duration: 79.67, billed: 80, size: 128, used: 73, init: 110.12 });
  expect(readReportLine(`${line}\n`)).toEqual({ duration: 79.67, billed: 80, size: 128, used: 73, init: undefined });
  expect(readReportLine(`${line}Status: timeout\n`)?.duration).toBe(79.67);
});

test('none, and one that is cut', () => {
  expect(readReportLine('START RequestId: 1\n')).toBeUndefined();
  expect(readReportLine('REPORT RequestId: 1\tDuration: 79.67 ms\tBilled')).toBeUndefined();
});
