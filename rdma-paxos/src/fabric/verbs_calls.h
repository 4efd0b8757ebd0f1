// SPDX-License-Identifier: Apache-2.0
//
// The edge to libibverbs: every call that can fail for a reason of the device, so that tests can make it fail. The
// calls of the data path (post, poll, arm) are not here: libibverbs dispatches them through the context itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <infiniband/verbs.h>

namespace rdma_paxos {

class VerbsCalls {
  public:
    virtual ~VerbsCalls() = default;

    virtual int query_port(ibv_context* context, std::uint8_t port, ibv_port_attr* attributes);
    virtual int query_device(ibv_context* context, ibv_device_attr* attributes);
    virtual int query_gid(ibv_context* context, std::uint8_t port, int index, ibv_gid_entry* entry);
    /// Like ibv_get_async_event(); an event that was got is acknowledged by the call.
    virtual int get_async_event(ibv_context* context, ibv_async_event* event);
    virtual ibv_pd* alloc_pd(ibv_context* context);
    virtual ibv_mr* reg_mr(ibv_pd* domain, void* address, std::size_t bytes, int access);
    virtual ibv_comp_channel* create_channel(ibv_context* context);
    virtual ibv_cq* create_cq(ibv_context* context, int entries, ibv_comp_channel* channel);
    virtual ibv_qp* create_qp(ibv_pd* domain, ibv_qp_init_attr* attributes);
    virtual int modify_qp(ibv_qp* pair, ibv_qp_attr* attributes, int mask);

    virtual void destroy(ibv_context* object);
    virtual void destroy(ibv_pd* object);
    virtual void destroy(ibv_mr* object);
    virtual void destroy(ibv_comp_channel* object);
    virtual void destroy(ibv_cq* object);
    virtual void destroy(ibv_qp* object);

    /// Those of the system. Lives as long as the program.
    static VerbsCalls& real();
};

} // namespace rdma_paxos
