// Events as AWS services send them, to begin with. Shapes: Developer Guide (with-s3, with-sqs, services-apigateway,
// services-cloudwatchevents); values are AWS's own examples. Data only.

export interface Template {
  readonly name: string;
  readonly event: unknown;
}

const account = '123456789012';
const region = 'us-east-1';

export const templates: readonly Template[] = [
  { name: 'Empty', event: {} },
  { name: 'Hello', event: { name: 'world', numbers: [1, 2, 3] } },
  {
    name: 'S3: object created',
    event: {
      Records: [
        {
          eventVersion: '2.1',
          eventSource: 'aws:s3',
          awsRegion: region,
          eventTime: '2026-01-01T00:00:00.000Z',
          eventName: 'ObjectCreated:Put',
          userIdentity: { principalId: 'EXAMPLE' },
          requestParameters: { sourceIPAddress: '127.0.0.1' },
          responseElements: { 'x-amz-request-id': 'EXAMPLE123456789', 'x-amz-id-2': 'EXAMPLE123/abcdefghijklmno' },
          s3: {
            s3SchemaVersion: '1.0',
            configurationId: 'testConfigRule',
            bucket: {
              name: 'amzn-s3-demo-bucket',
              ownerIdentity: { principalId: 'EXAMPLE' },
              arn: 'arn:aws:s3:::amzn-s3-demo-bucket',
            },
            object: {
              key: 'test%2Fkey',
              size: 1024,
              eTag: '0123456789abcdef0123456789abcdef',
              sequencer: '0A1B2C3D4E5F678901',
            },
          },
        },
      ],
    },
  },
  {
    name: 'SQS: messages',
    event: {
      Records: [
        {
          messageId: '059f36b4-87a3-44ab-83d2-661975830a7d',
          receiptHandle: 'AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a...',
          body: 'Test message.',
          attributes: {
            ApproximateReceiveCount: '1',
            SentTimestamp: '1545082649183',
            SenderId: 'AIDAIENQZJOLO23YVJ4VO',
            ApproximateFirstReceiveTimestamp: '1545082649185',
          },
          messageAttributes: {},
          md5OfBody: 'e4e68fb7bd0e697a0ae8f1bb342846b3',
          eventSource: 'aws:sqs',
          eventSourceARN: `arn:aws:sqs:${region}:${account}:my-queue`,
          awsRegion: region,
        },
      ],
    },
  },
  {
    name: 'API Gateway: HTTP API, function URL',
    event: {
      version: '2.0',
      routeKey: '$default',
      rawPath: '/my/path',
      rawQueryString: 'parameter1=value1&parameter1=value2&parameter2=value',
      cookies: ['cookie1', 'cookie2'],
      headers: { header1: 'value1', header2: 'value1,value2' },
      queryStringParameters: { parameter1: 'value1,value2', parameter2: 'value' },
      requestContext: {
        accountId: account,
        apiId: 'api-id',
        domainName: 'id.execute-api.us-east-1.amazonaws.com',
        domainPrefix: 'id',
        http: { method: 'POST', path: '/my/path', protocol: 'HTTP/1.1', sourceIp: '192.0.2.1', userAgent: 'agent' },
        requestId: 'id',
        routeKey: '$default',
        stage: '$default',
        time: '12/Mar/2020:19:03:58 +0000',
        timeEpoch: 1583348638390,
      },
      body: 'Hello from Lambda',
      isBase64Encoded: false,
    },
  },
  {
    name: 'API Gateway: REST API',
    event: {
      resource: '/{proxy+}',
      path: '/my/path',
      httpMethod: 'GET',
      headers: { Accept: '*/*', Host: 'id.execute-api.us-east-1.amazonaws.com' },
      multiValueHeaders: { Accept: ['*/*'], Host: ['id.execute-api.us-east-1.amazonaws.com'] },
      queryStringParameters: { parameter1: 'value2' },
      multiValueQueryStringParameters: { parameter1: ['value1', 'value2'] },
      pathParameters: { proxy: 'my/path' },
      stageVariables: null,
      requestContext: {
        accountId: account,
        apiId: 'id',
        domainName: 'id.execute-api.us-east-1.amazonaws.com',
        httpMethod: 'GET',
        identity: { sourceIp: '192.0.2.1', userAgent: 'agent' },
        path: '/prod/my/path',
        protocol: 'HTTP/1.1',
        requestId: 'id',
        requestTime: '04/Mar/2020:19:15:17 +0000',
        requestTimeEpoch: 1583349317135,
        resourceId: 'abc123',
        resourcePath: '/{proxy+}',
        stage: 'prod',
      },
      body: null,
      isBase64Encoded: false,
    },
  },
  {
    name: 'EventBridge: EC2 state change',
    event: {
      version: '0',
      id: '6a7e8feb-b491-4cf7-a9f1-bf3703467718',
      'detail-type': 'EC2 Instance State-change Notification',
      source: 'aws.ec2',
      account,
      time: '2017-12-22T18:43:48Z',
      region: 'us-west-1',
      resources: [`arn:aws:ec2:us-west-1:${account}:instance/i-1234567890abcdef0`],
      detail: { 'instance-id': 'i-1234567890abcdef0', state: 'terminated' },
    },
  },
  {
    name: 'EventBridge: schedule',
    event: {
      version: '0',
      id: '53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa',
      'detail-type': 'Scheduled Event',
      source: 'aws.events',
      account,
      time: '2015-10-08T16:53:06Z',
      region,
      resources: [`arn:aws:events:${region}:${account}:rule/my-scheduled-rule`],
      detail: {},
    },
  },
  {
    name: 'SNS: notification',
    event: {
      Records: [
        {
          EventVersion: '1.0',
          EventSubscriptionArn: `arn:aws:sns:${region}:${account}:sns-lambda:21be56ed-a058-49f5-8c98-aedd2564c486`,
          EventSource: 'aws:sns',
          Sns: {
            SignatureVersion: '1',
            Timestamp: '2019-01-02T12:45:07.000Z',
            MessageId: '95df01b4-ee98-5cb9-9903-4c221d41eb5e',
            Message: 'Hello from SNS!',
            MessageAttributes: { Test: { Type: 'String', Value: 'TestString' } },
            Type: 'Notification',
            TopicArn: `arn:aws:sns:${region}:${account}:sns-lambda`,
            Subject: 'TestInvoke',
          },
        },
      ],
    },
  },
];
