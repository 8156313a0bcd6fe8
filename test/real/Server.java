import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;

/** Server PORT: answers with the number of requests and a value from a table that was filled before. */
public class Server {
    public static void main(String[] args) throws Exception {
        Map<String, Integer> table = new HashMap<>();
        for (int i = 0; i < 100000; i++)
            table.put("key " + i, i);
        AtomicLong requests = new AtomicLong();
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 0);
        server.createContext("/", exchange -> {
            byte[] text = (requests.incrementAndGet() + " " + table.get("key 4711") + "\n").getBytes();
            exchange.sendResponseHeaders(200, text.length);
            exchange.getResponseBody().write(text);
            exchange.close();
        });
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.start();
    }
}
