// Hyperledger's own client for Node.js does what a client does, and tells on stdout, as JSON, what it saw.
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as grpc from '@grpc/grpc-js';
import { connect, hash, signers, EndorseError, GatewayError } from '@hyperledger/fabric-gateway';

const profile = JSON.parse(process.argv[2]);
const utf8 = new TextDecoder();

async function firstOf(stream, count) {
    const found = [];
    try {
        for await (const entry of stream) {
            found.push(entry);
            if (found.length === count) {
                break;
            }
        }
    } finally {
        stream.close();
    }
    return found;
}

async function failureOf(promise) {
    try {
        await promise;
    } catch (error) {
        return {
            type: error.constructor.name,
            gateway: error instanceof GatewayError,
            endorse: error instanceof EndorseError,
            code: error.code,
            message: error.message,
            details: (error.details ?? []).map((detail) => ({ ...detail })),
        };
    }
    return null;
}

async function use(gateway) {
    const network = gateway.getNetwork(profile.channel);
    const contract = network.getContract(profile.chaincode);
    const seen = {};

    seen.submitted = utf8.decode(await contract.submitTransaction('Put', 'node=official', 'other=1'));
    seen.evaluated = utf8.decode(await contract.evaluateTransaction('Get', 'node'));

    const announced = await contract.submitAsync('Announce', { arguments: ['Spoke', 'node speaks'] });
    const status = await announced.getStatus();
    seen.announced = {
        transactionId: announced.getTransactionId(),
        successful: status.successful,
        blockNumber: Number(status.blockNumber),
    };

    seen.events = (await firstOf(await network.getChaincodeEvents(profile.chaincode, { startBlock: 0n }), 1)).map(
        (event) => ({
            transactionId: event.transactionId,
            blockNumber: Number(event.blockNumber),
            chaincodeName: event.chaincodeName,
            eventName: event.eventName,
            payload: utf8.decode(event.payload),
        }),
    );
    seen.blocks = (await firstOf(await network.getBlockEvents({ startBlock: 0n }), 3)).map((block) => ({
        number: block.getHeader().getNumber(),
        previousHash: Buffer.from(block.getHeader().getPreviousHash_asU8()).toString('hex'),
        transactions: block.getData().getDataList().length,
    }));
    seen.filtered = (
        await firstOf(await network.getFilteredBlockEvents({ startBlock: status.blockNumber }), 1)
    )[0].toObject().filteredTransactionsList.map((transaction) => transaction.txid);

    seen.refusedQuery = await failureOf(contract.evaluateTransaction('Refuse', '404', 'NO_TASK', 'No such task.'));
    seen.refused = await failureOf(contract.submitTransaction('Refuse', '409', 'ROUND_CLOSED', 'Round 3 is closed.'));

    const stale = await contract.newProposal('Add', { arguments: ['sum', '1'] }).endorse();
    await contract.submitTransaction('Put', 'sum=7');
    const conflict = await (await stale.submit()).getStatus();
    seen.conflict = { successful: conflict.successful, code: conflict.code };
    return seen;
}

const client = new grpc.Client(profile.gateway, grpc.credentials.createInsecure());
const gateway = connect({
    client,
    identity: { mspId: profile.mspId, credentials: readFileSync(profile.certificate) },
    signer: signers.newPrivateKeySigner(createPrivateKey(readFileSync(profile.key))),
    hash: hash.sha256,
    evaluateOptions: () => ({ deadline: Date.now() + 10000 }),
    endorseOptions: () => ({ deadline: Date.now() + 10000 }),
    submitOptions: () => ({ deadline: Date.now() + 10000 }),
    commitStatusOptions: () => ({ deadline: Date.now() + 10000 }),
});
try {
    console.log(JSON.stringify(await use(gateway)));
} finally {
    gateway.close();
    client.close();
}
