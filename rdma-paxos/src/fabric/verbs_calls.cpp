// SPDX-License-Identifier: Apache-2.0
#include "fabric/verbs_calls.h"

namespace rdma_paxos {

int VerbsCalls::query_port(ibv_context* context, std::uint8_t port, ibv_port_attr* attributes) {
    return ibv_query_port(context, port, attributes);
}
int VerbsCalls::query_device(ibv_context* context, ibv_device_attr* attributes) {
    return ibv_query_device(context, attributes);
}
int VerbsCalls::query_gid(ibv_context* context, std::uint8_t port, int index, ibv_gid_entry* entry) {
    return ibv_query_gid_ex(context, port, static_cast<std::uint32_t>(index), entry, 0);
}
int VerbsCalls::get_async_event(ibv_context* context, ibv_async_event* event) {
    const int result = ibv_get_async_event(context, event);
    if (result == 0)
        ibv_ack_async_event(event);
    return result;
}
ibv_pd* VerbsCalls::alloc_pd(ibv_context* context) {
    return ibv_alloc_pd(context);
}
ibv_mr* VerbsCalls::reg_mr(ibv_pd* domain, void* address, std::size_t bytes, int access) {
    return ibv_reg_mr(domain, address, bytes, access);
}
ibv_comp_channel* VerbsCalls::create_channel(ibv_context* context) {
    return ibv_create_comp_channel(context);
}
ibv_cq* VerbsCalls::create_cq(ibv_context* context, int entries, ibv_comp_channel* channel) {
    return ibv_create_cq(context, entries, nullptr, channel, 0);
}
ibv_qp* VerbsCalls::create_qp(ibv_pd* domain, ibv_qp_init_attr* attributes) {
    return ibv_create_qp(domain, attributes);
}
int VerbsCalls::modify_qp(ibv_qp* pair, ibv_qp_attr* attributes, int mask) {
    return ibv_modify_qp(pair, attributes, mask);
}
void VerbsCalls::destroy(ibv_context* object) {
    ibv_close_device(object);
}
void VerbsCalls::destroy(ibv_pd* object) {
    ibv_dealloc_pd(object);
}
void VerbsCalls::destroy(ibv_mr* object) {
    ibv_dereg_mr(object);
}
void VerbsCalls::destroy(ibv_comp_channel* object) {
    ibv_destroy_comp_channel(object);
}
void VerbsCalls::destroy(ibv_cq* object) {
    ibv_destroy_cq(object);
}
void VerbsCalls::destroy(ibv_qp* object) {
    ibv_destroy_qp(object);
}

VerbsCalls& VerbsCalls::real() {
    static VerbsCalls calls;
    return calls;
}

} // namespace rdma_paxos
